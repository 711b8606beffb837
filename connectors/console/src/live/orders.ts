/**
 * The account as this page knows it: a pure reducer over what the person did and what the gateway told.
 *
 * An order shows at once as pending (optimistic) and then follows the gateway. Messages can come out of order with
 * REST answers (an `accepted` before the 202 of its order) and old states can come after newer ones; `newer` decides.
 * What failed is rolled back with a sentence. Absent: sending anything (`account.ts`).
 */
import type { Balance, Fill, Order, OrderMessage, OrderStatus, PlaceOrder, PrivateMessage } from "../api/types";
import { units } from "../money/units";
import { fullReason } from "../words/reasons";

/**
 * `sending`: no answer yet. `unsure`: the answer was lost, it is being looked up. `known`: the gateway spoke of it.
 * `failed`: it never became an order, as far as we know; a later word of the gateway still counts.
 */
export type Knowledge = "sending" | "unsure" | "known" | "failed";

export interface Change {
  kind: "amend" | "cancel";
  request_id: string;
  quantity?: string;
  price?: string;
}

export interface LocalOrder extends Order {
  knowledge: Knowledge;
  /** An amend or cancel on its way. */
  change: Change | null;
  /** Why the last amend or cancel came to nothing, or why the order was rejected. */
  notice: string | null;
  /** Rows of rejected orders stay until the person dismisses them. */
  dismissed: boolean;
}

interface Request {
  kind: "amend" | "cancel" | "cancel_all" | "deposit" | "withdrawal";
  /** The order meant, or for a cancel-all the instrument. */
  target: string;
  label: string;
}

export interface AccountState {
  /** By client order id, oldest first. */
  orders: ReadonlyMap<string, LocalOrder>;
  balances: ReadonlyMap<string, Balance>;
  /** Newest first. */
  fills: readonly Fill[];
  requests: ReadonlyMap<string, Request>;
  /** From where the account channel goes on after a reconnect. */
  position: string | null;
  /** Whether the gateway has told the account's state. */
  loaded: boolean;
}

export const EMPTY: AccountState = {
  orders: new Map(),
  balances: new Map(),
  fills: [],
  requests: new Map(),
  position: null,
  loaded: false,
};

export interface Notice {
  tone: "good" | "bad" | "info";
  text: string;
}

export type Event =
  | { kind: "sent"; order: PlaceOrder }
  | { kind: "acked"; client_order_id: string; order_id: string }
  | { kind: "failed"; client_order_id: string; sentence: string }
  | { kind: "unanswered"; client_order_id: string }
  | { kind: "asked"; request_id: string; request: Request; change?: Change }
  /** Without a sentence nothing is said; in doubt it may have happened all the same. */
  | { kind: "ask_failed"; request_id: string; sentence: string | null; in_doubt?: boolean }
  | { kind: "order"; order: Order }
  | { kind: "fills"; fills: Fill[] }
  | { kind: "dismissed"; client_order_id: string }
  | { kind: "message"; message: PrivateMessage };

export interface Step {
  state: AccountState;
  notices: Notice[];
  /** Orders that were open here and are unknown to a fresh snapshot: to be looked up. */
  look_up: string[];
}

const ENDED: readonly OrderStatus[] = ["filled", "cancelled", "expired", "rejected"];
export const hasEnded = (order: Order) => ENDED.includes(order.status);
const ENDED_KEPT = 200;
const FILLS_KEPT = 200;

export function reduce(state: AccountState, event: Event): Step {
  const step: Step = { state, notices: [], look_up: [] };
  switch (event.kind) {
    case "sent":
      put(step, optimistic(event.order));
      return step;
    case "acked":
      update(step, event.client_order_id, (order) => ({
        ...order,
        order_id: order.order_id ?? event.order_id,
        knowledge: "known",
      }));
      return step;
    case "failed":
      fail(step, event.client_order_id, event.sentence);
      return step;
    case "unanswered":
      update(step, event.client_order_id, (order) =>
        order.knowledge === "sending" ? { ...order, knowledge: "unsure" } : order,
      );
      return step;
    case "asked":
      ask(step, event.request_id, event.request, event.change);
      return step;
    case "ask_failed":
      settleRequest(step, event.request_id, event.sentence, event.in_doubt);
      return step;
    case "order":
      merge(step, event.order);
      return step;
    case "fills":
      addFills(step, event.fills);
      return step;
    case "dismissed":
      update(step, event.client_order_id, (order) => ({ ...order, dismissed: true }));
      return step;
    case "message":
      takeMessage(step, event.message);
      return step;
  }
}

// ---- what the person did ----

function optimistic(sent: PlaceOrder): LocalOrder {
  return {
    order_id: null,
    client_order_id: sent.client_order_id,
    instrument: sent.instrument,
    side: sent.side,
    type: sent.type,
    time_in_force: sent.time_in_force ?? null,
    price: sent.price ?? null,
    stop_price: sent.stop_price ?? null,
    quantity: sent.quantity,
    filled: "0",
    leaves: sent.quantity,
    status: "pending",
    // Zero, so that the gateway's clock, not this one, decides which state is newer.
    updated_ms: 0,
    knowledge: "sending",
    change: null,
    notice: null,
    dismissed: false,
  };
}

function fail(step: Step, client_order_id: string, sentence: string): void {
  const order = step.state.orders.get(client_order_id);
  // The account channel may have been faster than the failed answer: then the order is real.
  if (!order || (order.knowledge !== "sending" && order.knowledge !== "unsure")) return;
  put(step, { ...order, knowledge: "failed", status: "rejected", leaves: "0", notice: sentence });
  step.notices.push({ tone: "bad", text: `Order not placed. ${sentence}` });
}

function ask(step: Step, request_id: string, request: Request, change: Change | undefined): void {
  step.state = { ...step.state, requests: new Map(step.state.requests).set(request_id, request) };
  if (request.kind === "cancel_all") {
    for (const order of step.state.orders.values()) {
      if (order.instrument === request.target && !hasEnded(order)) {
        put(step, { ...order, change: { kind: "cancel", request_id }, notice: null });
      }
    }
  } else if (change) {
    update(step, request.target, (order) => ({ ...order, change, notice: null }));
  }
}

/** The request is over; with a sentence it came to nothing. */
function settleRequest(step: Step, request_id: string, sentence: string | null, in_doubt = false): void {
  const request = step.state.requests.get(request_id);
  if (!request || (request.kind === "cancel_all" && sentence === null)) return;
  const requests = new Map(step.state.requests);
  requests.delete(request_id);
  step.state = { ...step.state, requests };
  for (const order of step.state.orders.values()) {
    if (order.change?.request_id === request_id) {
      put(step, { ...order, change: null, notice: sentence ?? order.notice });
    }
  }
  const outcome = in_doubt ? "may or may not have happened" : "did not happen";
  if (sentence) step.notices.push({ tone: "bad", text: `${request.label} ${outcome}. ${sentence}` });
}

// ---- what the gateway told ----

function takeMessage(step: Step, message: PrivateMessage): void {
  switch (message.type) {
    case "account":
      takeSnapshot(step, message.orders, message.balances);
      break;
    case "balance":
      step.state = { ...step.state, balances: new Map(step.state.balances).set(message.asset, balanceOf(message)) };
      break;
    case "fill":
      addFills(step, [message]);
      break;
    case "order":
      takeOrderEvent(step, message);
      break;
  }
  step.state = { ...step.state, position: message.position };
}

const balanceOf = ({ asset, available, reserved }: Balance): Balance => ({ asset, available, reserved });

function takeSnapshot(step: Step, orders: Order[], balances: Balance[]): void {
  const told = new Set(orders.map((order) => order.client_order_id));
  for (const order of step.state.orders.values()) {
    const sure = order.knowledge === "known" && order.order_id !== null;
    if (sure && !hasEnded(order) && !told.has(order.client_order_id)) step.look_up.push(order.client_order_id);
  }
  for (const order of orders) merge(step, order);
  const byAsset = new Map(balances.map((balance) => [balance.asset, balanceOf(balance)]));
  step.state = { ...step.state, balances: byAsset, loaded: true };
}

function takeOrderEvent(step: Step, message: OrderMessage): void {
  const { event, client_order_id } = message;
  const sentence = fullReason(message.reason, message.text);
  const request_id = requestOf(step.state, message);
  const request = request_id === null ? undefined : step.state.requests.get(request_id);
  if (request_id !== null && request) {
    if (event === "rejected" || event === "refused") {
      settleRequest(step, request_id, sentence);
      return;
    }
    settleRequest(step, request_id, null);
    if (event === "transferred") step.notices.push({ tone: "good", text: `${request.label} is done.` });
  }
  if (event === "refused") return;
  if (event === "rejected") {
    rejected(step, message, sentence);
  } else if (message.order) {
    merge(step, message.order, message);
  } else if (event === "cancelled" || event === "expired") {
    update(step, client_order_id, (order) => ({ ...order, status: event, leaves: "0", change: null }));
  }
}

/** The request that an event brings to its end: named by its own id, or the amend or cancel of the order that is told. */
function requestOf(state: AccountState, { event, client_order_id, order }: OrderMessage): string | null {
  if (event === "pending" || event === "accepted" || event === "traded" || event === "triggered") return null;
  const request = state.requests.get(client_order_id);
  // A cancel-all ends many orders; each row waits for its own end, and only a "no" ends the request.
  if (request?.kind === "cancel_all") return event === "rejected" || event === "refused" ? client_order_id : null;
  if (request) return client_order_id;
  const change = order ? state.orders.get(order.client_order_id)?.change : null;
  return change && change.kind === "amend" && event === "amended" ? change.request_id : null;
}

/** A rejected PLACE of this page or of another client of the account. */
function rejected(step: Step, message: OrderMessage, sentence: string): void {
  const local = step.state.orders.get(message.client_order_id);
  // A command that was sent twice: the first one's fate stands.
  const repeated = message.reason === "duplicate_client_order_id" && local?.knowledge === "known";
  if (repeated || (local && local.knowledge === "known" && local.status !== "pending")) return;
  const base = local ?? (message.order ? fromGateway(message.order) : null);
  if (!base) return;
  const { reason, text } = message;
  const ended = { status: "rejected" as const, leaves: "0", reason, text, updated_ms: message.time_ms };
  put(step, { ...base, ...ended, knowledge: "known", change: null, notice: sentence });
  step.notices.push({ tone: "bad", text: `Order rejected. ${sentence}` });
}

const fromGateway = (order: Order): LocalOrder => ({
  ...order,
  knowledge: "known",
  change: null,
  notice: null,
  dismissed: false,
});

/** Whether `next` is a later state of the order than `held`. */
export function newer(held: LocalOrder, next: Order): boolean {
  if (held.knowledge !== "known") return true;
  if (hasEnded(held)) return hasEnded(next) && next.updated_ms > held.updated_ms;
  if (hasEnded(next)) return true;
  if (next.status === "pending" && held.status !== "pending") return false;
  const [heldFilled, nextFilled] = [units(held.filled), units(next.filled)];
  if (heldFilled !== nextFilled) return nextFilled > heldFilled;
  return next.updated_ms >= held.updated_ms;
}

function merge(step: Step, next: Order, message?: OrderMessage): void {
  const held = step.state.orders.get(next.client_order_id);
  if (!held) {
    put(step, fromGateway(next));
    return;
  }
  if (!newer(held, next)) return;
  const ended = hasEnded(next);
  const told = next.status === "rejected" ? fullReason(next.reason, next.text) : null;
  const kept = held.knowledge === "known" ? held.notice : null;
  if (ended && held.change) settleRequest(step, held.change.request_id, null);
  put(step, {
    ...held,
    ...withTerms(next),
    knowledge: "known",
    change: ended ? null : held.change,
    notice: told ?? kept,
  });
  if (ended && !hasEnded(held)) announceEnd(step, next, message);
}

/** The order without the terms that a rejected one lacks, so that those known here stay. */
function withTerms(order: Order): Partial<Order> {
  return Object.fromEntries(Object.entries(order).filter(([, value]) => value !== null));
}

function announceEnd(step: Step, order: Order, message: OrderMessage | undefined): void {
  const what = `${order.side === "buy" ? "Buy" : "Sell"} ${order.quantity} ${order.instrument}`;
  const reason = order.reason ?? message?.reason;
  if (order.status === "filled") step.notices.push({ tone: "good", text: `Filled: ${what}.` });
  else if (order.status === "expired") step.notices.push({ tone: "info", text: `Expired: ${what}.` });
  else if (order.status === "rejected") {
    step.notices.push({ tone: "bad", text: `Order rejected. ${fullReason(reason, order.text)}` });
  } else {
    const asked = !reason || reason === "requested" || reason === "cancel_all";
    const why = asked ? "" : ` ${fullReason(reason, null)}`;
    step.notices.push({ tone: "info", text: `Cancelled: ${what}.${why}` });
  }
}

// ---- small parts ----

function put(step: Step, order: LocalOrder): void {
  const orders = new Map(step.state.orders).set(order.client_order_id, order);
  let ended = 0;
  for (const held of orders.values()) if (hasEnded(held)) ended += 1;
  for (const [id, held] of orders) {
    if (ended <= ENDED_KEPT) break;
    if (hasEnded(held)) {
      orders.delete(id);
      ended -= 1;
    }
  }
  step.state = { ...step.state, orders };
}

function update(step: Step, client_order_id: string, change: (order: LocalOrder) => LocalOrder): void {
  const order = step.state.orders.get(client_order_id);
  if (order) put(step, change(order));
}

function addFills(step: Step, fills: readonly Fill[]): void {
  const keyed = new Map(step.state.fills.map((fill) => [`${fill.trade_id}/${fill.order_id}`, fill]));
  for (const fill of fills) keyed.set(`${fill.trade_id}/${fill.order_id}`, fill);
  const newestFirst = [...keyed.values()].sort((a, b) => b.traded_ms - a.traded_ms);
  step.state = { ...step.state, fills: newestFirst.slice(0, FILLS_KEPT) };
}
