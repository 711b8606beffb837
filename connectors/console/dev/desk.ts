/** The stand-in's account desk: orders that are accepted, rejected or filled a moment later. Development only. */
import type { Fill, Order, PlaceOrder } from "../src/api/types";
import { readInstrument } from "../src/api/types";
import { checkOrder } from "../src/money/check";
import { fee, notional, reservation, worstPrice } from "../src/money/funds";
import { units, wire, type Units } from "../src/money/units";
import type { Market } from "./market";

type Say = (message: Record<string, unknown>) => void;
const LATER_MS = 400;

export class Desk {
  readonly orders = new Map<string, Order & { reserved: Units; asset: string }>();
  readonly fills: Fill[] = [];
  readonly balances = new Map<string, { available: Units; reserved: Units }>();
  private next = 1n << 60n;
  private count = 0;

  constructor(
    private readonly say: Say,
    private readonly market: (symbol: string) => Market | undefined,
  ) {}

  balance(asset: string) {
    const held = this.balances.get(asset) ?? { available: 0n, reserved: 0n };
    this.balances.set(asset, held);
    return held;
  }

  private tell(message: Record<string, unknown>): void {
    this.count += 1;
    this.say({ sequence: this.count, position: `p${this.count}`, time_ms: Date.now(), ...message });
  }

  private tellBalance(asset: string): void {
    const { available, reserved } = this.balance(asset);
    this.tell({ type: "balance", asset, available: wire(available), reserved: wire(reserved) });
  }

  private tellOrder(event: string, id: string, more: Record<string, unknown> = {}): void {
    const held = this.orders.get(id);
    if (held) held.updated_ms = Date.now();
    this.tell({ type: "order", event, order: held ? orderWire(held) : null, client_order_id: id, ...more });
  }

  place(body: PlaceOrder): { order_id: string; position: string } {
    const order_id = String(this.next++);
    const id = body.client_order_id;
    this.orders.set(id, {
      ...body,
      order_id,
      filled: "0",
      leaves: body.quantity,
      status: "pending",
      updated_ms: Date.now(),
      reserved: 0n,
      asset: "",
    });
    setTimeout(() => this.judge(body), LATER_MS);
    return { order_id, position: `p${this.count}` };
  }

  private judge(body: PlaceOrder): void {
    const market = this.market(body.instrument);
    const order = this.orders.get(body.client_order_id);
    if (!market || !order) return;
    const about = readInstrument(market.about);
    const price = body.price ? units(body.price) : null;
    const worst = worstPrice(body.side, body.type, price, about);
    const reserved = reservation(body.side, worst, units(body.quantity), about.taker_fee_ppm);
    const asset = body.side === "buy" ? about.quote_asset : about.base_asset;
    const draft = {
      ...body,
      price: body.price ?? "",
      stop_price: body.stop_price ?? "",
      expires_at: "2999-01-01T00:00",
    };
    const rest = { time_in_force: body.time_in_force ?? "gtc", post_only: false, display_quantity: "" } as const;
    const checked = checkOrder({ ...draft, ...rest }, about, () => null, Date.now());
    const reason = !checked.amounts
      ? "outside_collar"
      : this.balance(asset).available < reserved
        ? "insufficient_funds"
        : null;
    if (reason) {
      const text = reason === "insufficient_funds" ? `${wire(reserved)} ${asset} are needed.` : "The terms do not fit.";
      Object.assign(order, { status: "rejected", leaves: "0", reason, text });
      this.tellOrder("rejected", body.client_order_id, { reason, text });
      return;
    }
    this.balance(asset).available -= reserved;
    this.balance(asset).reserved += reserved;
    Object.assign(order, { reserved, asset, status: body.stop_price ? "waiting" : "open" });
    this.tellOrder("accepted", body.client_order_id);
    this.tellBalance(asset);
    const best = market.best(body.side === "buy" ? "S" : "B");
    const crosses = best !== undefined && (body.side === "buy" ? worst >= best : worst <= best);
    if (crosses && !body.stop_price) setTimeout(() => this.trade(body, market, best), LATER_MS / 4);
  }

  private trade(body: PlaceOrder, market: Market, price: Units): void {
    const order = this.orders.get(body.client_order_id);
    if (!order || order.status !== "open") return;
    const quantity = units(body.quantity);
    const { base_asset, quote_asset, taker_fee_ppm } = market.about;
    const value = notional(price, quantity);
    const paid = fee(value, taker_fee_ppm);
    this.balance(order.asset).reserved -= order.reserved;
    if (body.side === "buy") {
      this.balance(quote_asset).available += order.reserved - value - paid;
      this.balance(base_asset).available += quantity;
    } else {
      this.balance(quote_asset).available += value - paid;
    }
    const printed = market.print(price, quantity, body.side);
    Object.assign(order, { status: "filled", filled: body.quantity, leaves: "0" });
    this.tellOrder("traded", body.client_order_id);
    const { client_order_id, instrument, side } = body;
    const ids = { trade_id: printed.trade_id, order_id: order.order_id ?? "", client_order_id, instrument, side };
    const money = { price: wire(price), quantity: body.quantity, notional: wire(value), fee: wire(paid) };
    const fill: Fill = { ...ids, ...money, liquidity: "taker", fee_asset: quote_asset, traded_ms: Date.now() };
    this.fills.unshift(fill);
    this.tell({ type: "fill", ...fill });
    this.tellBalance(quote_asset);
    this.tellBalance(base_asset);
  }

  amend(target: string, body: { client_order_id: string; quantity?: string; price?: string }): void {
    setTimeout(() => {
      const order = this.orders.get(target);
      if (!order || order.status !== "open") {
        this.tell({ type: "order", event: "rejected", reason: "unknown_order", client_order_id: body.client_order_id });
        return;
      }
      const quantity = body.quantity ?? order.quantity;
      Object.assign(order, { quantity, leaves: quantity, price: body.price ?? order.price });
      this.tellOrder("amended", target, { client_order_id: body.client_order_id });
    }, LATER_MS);
  }

  cancel(target: string, request_id: string): void {
    setTimeout(() => {
      const order = this.orders.get(target);
      if (!order || !["open", "waiting"].includes(order.status)) {
        this.tell({ type: "order", event: "rejected", reason: "unknown_order", client_order_id: request_id });
        return;
      }
      this.balance(order.asset).reserved -= order.reserved;
      this.balance(order.asset).available += order.reserved;
      Object.assign(order, { status: "cancelled", leaves: "0", reason: "requested" });
      this.tellOrder("cancelled", target, { client_order_id: request_id, reason: "requested" });
      this.tellBalance(order.asset);
    }, LATER_MS);
  }

  transfer(kind: "deposit" | "withdrawal", asset: string, amount: Units, client_order_id: string): void {
    setTimeout(() => {
      const held = this.balance(asset);
      if (kind === "withdrawal" && held.available < amount) {
        this.tell({ type: "order", event: "rejected", reason: "insufficient_funds", client_order_id });
        return;
      }
      held.available += kind === "deposit" ? amount : -amount;
      this.tell({ type: "order", event: "transferred", order: null, client_order_id });
      this.tellBalance(asset);
    }, LATER_MS);
  }

  openOrders(): Order[] {
    return [...this.orders.values()].filter((o) => ["pending", "open", "waiting"].includes(o.status)).map(orderWire);
  }

  snapshot(): Record<string, unknown> {
    const balances = [...this.balances].map(([asset, { available, reserved }]) => ({
      asset,
      available: wire(available),
      reserved: wire(reserved),
    }));
    return { type: "account", orders: this.openOrders(), balances, sequence: 0, position: `p${this.count}` };
  }
}

export function orderWire(held: Order & { reserved?: Units; asset?: string }): Order {
  const { reserved: _reserved, asset: _asset, ...order } = held;
  return order;
}
