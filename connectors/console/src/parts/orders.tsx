/** Open orders with amend and cancel in the row, and rejected ones until they are dismissed. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Instrument } from "../api/types";
import { account, amend, cancel, cancelAll, dismissOrder } from "../live/account";
import { instruments } from "../live/market";
import { hasEnded, type LocalOrder } from "../live/orders";
import { hasLimit, priceProblem, quantityProblem } from "../money/check";
import { parseAmount, placesOf, show, units, wire } from "../money/units";
import { session } from "../session";
import { tradePath } from "../router";
import { Empty, Link, SideMark, Skeleton } from "./common";

const editing = signal<string | null>(null);
export const onlyThis = signal(false);

const TYPE_WORDS = { limit: "Limit", market: "Market", stop: "Stop", stop_limit: "Stop limit" } as const;
const STATUS_WORDS = {
  pending: "Pending",
  open: "Open",
  waiting: "Waits for its stop",
  partly_filled: "Partly filled",
  filled: "Filled",
  cancelled: "Cancelled",
  expired: "Expired",
  rejected: "Rejected",
} as const;

export function statusText(order: LocalOrder): string {
  if (order.knowledge === "sending") return "Sending…";
  if (order.knowledge === "unsure") return "No answer, checking…";
  if (order.knowledge === "failed") return "Not placed";
  if (order.change?.kind === "cancel") return "Cancelling…";
  if (order.change?.kind === "amend") {
    const { quantity, price } = order.change;
    return `Amending to ${[quantity, price && `at ${price}`].filter(Boolean).join(" ")}…`;
  }
  return STATUS_WORDS[order.status];
}

const instrumentOf = (order: LocalOrder) => (order.instrument ? instruments.value?.get(order.instrument) : undefined);

/** What the open-orders table lists: open ones, and rejections that are still to be read; newest first. */
export function listed(orders: Iterable<LocalOrder>, instrument: string | null): LocalOrder[] {
  const keep = (order: LocalOrder) =>
    (!hasEnded(order) || (order.status === "rejected" && order.notice !== null && !order.dismissed)) &&
    (instrument === null || order.instrument === instrument);
  return [...orders].filter(keep).reverse();
}

export function OpenOrders({ instrument }: { instrument: Instrument }) {
  const { orders, loaded } = account.value;
  if (session.value.phase !== "in") return <LogInFirst what="your open orders" />;
  const rows = listed(orders.values(), onlyThis.value ? instrument.symbol : null);
  const here = rows.some((order) => order.instrument === instrument.symbol && !hasEnded(order));
  return (
    <>
      <div class="panel-tools">
        <label class="check">
          <input
            type="checkbox"
            checked={onlyThis.value}
            onChange={(event) => (onlyThis.value = event.currentTarget.checked)}
          />
          Only {instrument.symbol}
        </label>
        <button
          type="button"
          data-testid="cancel-all"
          disabled={!here}
          onClick={() => void cancelAll(instrument.symbol)}
        >
          Cancel all in {instrument.symbol}
        </button>
      </div>
      {!loaded && rows.length === 0 ? (
        <Skeleton rows={3} label="Loading open orders" />
      ) : rows.length === 0 ? (
        <Empty title="No open orders yet">
          Click a price in the book, or press <kbd>b</kbd> or <kbd>s</kbd>, to start one.
        </Empty>
      ) : (
        <div class="scroll">
          <table class="orders cards" data-testid="open-orders">
            <caption class="hidden">Open orders</caption>
            <thead>
              <tr>
                <th>Side</th>
                <th>Instrument</th>
                <th>Type</th>
                <th class="r">Price</th>
                <th class="r">Stop</th>
                <th class="r">Filled / quantity</th>
                <th>Status</th>
                <th>
                  <span class="hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((order) =>
                editing.value === order.client_order_id && !hasEnded(order) ? (
                  <AmendRow key={order.client_order_id} order={order} />
                ) : (
                  <OrderRow key={order.client_order_id} order={order} />
                ),
              )}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

export function LogInFirst({ what }: { what: string }) {
  if (session.value.phase === "starting") return <Skeleton rows={3} />;
  return (
    <Empty title="You are not logged in">
      <Link href="/log-in">Log in</Link> or <Link href="/sign-up">sign up</Link> to see {what}.
    </Empty>
  );
}

/** An amount, or a dash for one that is not told: a rejected order has none of its terms. */
const amount = (text: string | null | undefined, places: number) => (text ? show(units(text), places) : "–");

export function Cells({ order }: { order: LocalOrder }) {
  const instrument = instrumentOf(order);
  const [price, quantity] = [
    instrument ? placesOf(instrument.tick_size) : 0,
    instrument ? placesOf(instrument.lot_size) : 0,
  ];
  const total = order.quantity ? units(order.quantity) : 0n;
  const part = total > 0n ? Number((units(order.filled) * 100n) / total) : 0;
  return (
    <>
      <td>{order.side ? <SideMark side={order.side} /> : "–"}</td>
      <td data-label="Instrument">
        {order.instrument ? <Link href={tradePath(order.instrument)}>{order.instrument}</Link> : "–"}
      </td>
      <td data-label="Type">
        <span>
          {order.type ? TYPE_WORDS[order.type] : "–"}
          {order.time_in_force ? <span class="dim"> {order.time_in_force.toUpperCase()}</span> : null}
        </span>
      </td>
      <td class="num r" data-label="Price" data-testid="order-price">
        {order.type && hasLimit(order.type) ? amount(order.price, price) : "–"}
      </td>
      <td class={`num r${order.stop_price ? "" : " none"}`} data-label="Stop">
        {amount(order.stop_price, price)}
      </td>
      <td class="num r" data-label="Filled">
        <span>
          <span data-testid="order-filled">{show(units(order.filled), quantity)}</span>
          {" / "}
          <span data-testid="order-quantity">{amount(order.quantity, quantity)}</span>
        </span>
        <span class="filled-bar" aria-hidden="true">
          <span style={{ width: `${part}%` }} />
        </span>
      </td>
    </>
  );
}

function OrderRow({ order }: { order: LocalOrder }) {
  const id = order.client_order_id;
  const ended = hasEnded(order);
  const busy = order.knowledge !== "known" || order.change !== null;
  const amendable = order.type === "limit" || order.type === "stop_limit" || order.type === "stop";
  const name = `${order.side} ${order.quantity} ${order.instrument}`;
  return (
    <>
      <tr
        data-testid="order-row"
        data-client-order-id={id}
        data-status={order.status}
        data-knowledge={order.knowledge}
        class={`${order.status}${busy && !ended ? " busy" : ""}`}
      >
        <Cells order={order} />
        <td data-label="Status">
          <span class={`status ${order.status}`} data-testid="order-status">
            {statusText(order)}
          </span>
        </td>
        <td class="actions">
          {ended ? (
            <button
              type="button"
              aria-label={`Dismiss ${name}`}
              onClick={() => dismissOrder(id)}
              data-testid="dismiss-order"
            >
              Dismiss
            </button>
          ) : (
            <>
              {amendable ? (
                <button
                  type="button"
                  disabled={busy}
                  aria-label={`Amend ${name}`}
                  onClick={() => (editing.value = id)}
                  data-testid="amend-order"
                >
                  Amend
                </button>
              ) : null}
              <button
                type="button"
                disabled={order.knowledge !== "known" || order.change?.kind === "cancel"}
                aria-label={`Cancel ${name}`}
                onClick={() => void cancel(id)}
                data-testid="cancel-order"
              >
                Cancel
              </button>
            </>
          )}
        </td>
      </tr>
      {order.notice ? (
        <tr class="notice-row">
          <td colSpan={8} data-testid="order-sentence">
            <span aria-hidden="true">✕</span> {order.notice}
          </td>
        </tr>
      ) : null}
    </>
  );
}

/** Price and quantity become fields in the row's place. Enter saves, Esc gives up. */
function AmendRow({ order }: { order: LocalOrder }) {
  const quantity = useRef<HTMLInputElement>(null);
  const price = useRef<HTMLInputElement>(null);
  const sentence = useRef(signal<string | null>(null)).current;
  const priced = order.type !== null && hasLimit(order.type);
  const instrument = instrumentOf(order);
  useEffect(() => quantity.current?.select(), []);

  const close = () => (editing.value = null);
  const save = () => {
    const terms: { quantity?: string; price?: string } = {};
    const newQuantity = parseAmount(quantity.current?.value ?? "", "Quantity");
    if (!newQuantity.ok) return void (sentence.value = newQuantity.sentence);
    const wrong = instrument ? quantityProblem(newQuantity.value, instrument) : null;
    if (wrong) return void (sentence.value = wrong);
    if (wire(newQuantity.value) !== order.quantity) terms.quantity = wire(newQuantity.value);
    if (priced) {
      const newPrice = parseAmount(price.current?.value ?? "", "Price");
      if (!newPrice.ok) return void (sentence.value = newPrice.sentence);
      const off = instrument ? priceProblem(newPrice.value, "Price", instrument) : null;
      if (off) return void (sentence.value = off);
      if (wire(newPrice.value) !== order.price) terms.price = wire(newPrice.value);
    }
    close();
    if (terms.quantity || terms.price) void amend(order.client_order_id, terms);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && event.target instanceof HTMLInputElement) save();
  };
  return (
    <>
      <tr class="editing" data-testid="amend-row" data-client-order-id={order.client_order_id} onKeyDown={onKeyDown}>
        <td>{order.side ? <SideMark side={order.side} /> : null}</td>
        <td data-label="Instrument">{order.instrument}</td>
        <td data-label="Type">{order.type ? TYPE_WORDS[order.type] : null}</td>
        <td class="r" data-label="Price">
          {priced ? (
            <input
              ref={price}
              class="num"
              inputMode="decimal"
              aria-label="New price"
              defaultValue={order.price ?? ""}
              data-testid="amend-price"
            />
          ) : (
            "–"
          )}
        </td>
        <td class="num r" data-label="Stop">
          {order.stop_price ?? "–"}
        </td>
        <td class="r" data-label="Quantity">
          <input
            ref={quantity}
            class="num"
            inputMode="decimal"
            aria-label="New total quantity"
            defaultValue={order.quantity ?? ""}
            data-testid="amend-quantity"
          />
        </td>
        <td data-label="Status" class="dim">
          {order.filled === "0" ? "Nothing filled" : `${order.filled} filled`}
        </td>
        <td class="actions">
          <button type="button" class="primary" onClick={save} data-testid="amend-save">
            Save
          </button>
          <button type="button" onClick={close}>
            Keep
          </button>
        </td>
      </tr>
      {sentence.value ? (
        <tr class="notice-row">
          <td colSpan={8} role="alert">
            {sentence.value}
          </td>
        </tr>
      ) : null}
    </>
  );
}
