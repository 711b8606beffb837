import { describe, expect, test } from "vitest";
import type { Fill, Order, OrderMessage, PlaceOrder } from "../api/types";
import { EMPTY, newer, reduce, type AccountState, type Event, type LocalOrder } from "./orders";

const PLACE: PlaceOrder = {
  client_order_id: "c1",
  instrument: "ABC-USD",
  side: "buy",
  type: "limit",
  time_in_force: "gtc",
  quantity: "5",
  price: "20",
};
const ORDER: Order = {
  order_id: "1152921504606846976",
  client_order_id: "c1",
  instrument: "ABC-USD",
  side: "buy",
  type: "limit",
  time_in_force: "gtc",
  price: "20",
  stop_price: null,
  quantity: "5",
  filled: "0",
  leaves: "5",
  status: "open",
  updated_ms: 100,
};
const event = (
  name: OrderMessage["event"],
  change: Partial<Order> | null,
  more: Partial<OrderMessage> = {},
): Event => ({
  kind: "message",
  message: {
    type: "order",
    sequence: 1,
    position: `at-${name}`,
    event: name,
    order: change === null ? null : { ...ORDER, ...change },
    client_order_id: "c1",
    time_ms: 100,
    ...more,
  },
});

/** Runs events; the state and the texts of all notices. */
function run(...events: Event[]): { state: AccountState; said: string[]; look_up: string[] } {
  let state = EMPTY;
  const said: string[] = [];
  const look_up: string[] = [];
  for (const next of events) {
    const step = reduce(state, next);
    state = step.state;
    said.push(...step.notices.map((notice) => notice.text));
    look_up.push(...step.look_up);
  }
  return { state, said, look_up };
}
const the = (state: AccountState, id = "c1") => state.orders.get(id) as LocalOrder;

const SENT: Event = { kind: "sent", order: PLACE };
const ACKED: Event = { kind: "acked", client_order_id: "c1", order_id: "1152921504606846976" };
const ACCEPTED = event("accepted", {});
const PART = event("traded", { status: "partly_filled", filled: "2", leaves: "3", updated_ms: 110 });
const FULL = event("traded", { status: "filled", filled: "5", leaves: "0", updated_ms: 120 });

describe("a placed order", () => {
  test("shows as pending before any answer", () => {
    expect(the(run(SENT).state)).toMatchObject({
      status: "pending",
      knowledge: "sending",
      leaves: "5",
      order_id: null,
    });
  });

  test("goes on to open, partly filled and filled", () => {
    expect(the(run(SENT, ACKED).state)).toMatchObject({ status: "pending", knowledge: "known" });
    expect(the(run(SENT, ACKED, ACCEPTED).state).status).toBe("open");
    const { state, said } = run(SENT, ACKED, ACCEPTED, PART, FULL);
    expect(the(state)).toMatchObject({ status: "filled", filled: "5", order_id: "1152921504606846976" });
    expect(said).toEqual(["Filled: Buy 5 ABC-USD."]);
    expect(state.position).toBe("at-traded");
  });

  test("ends the same in whatever order its answer and its events come", () => {
    const rest = [ACKED, event("pending", { status: "pending", updated_ms: 90 }), ACCEPTED, PART, FULL];
    const orders = permutations(rest).map((events) => the(run(SENT, ...events).state));
    for (const order of orders) expect(order).toMatchObject({ status: "filled", filled: "5", knowledge: "known" });
    expect(orders.length).toBe(120);
  });

  test("is rolled back with a sentence where the gateway refuses it", () => {
    const { state, said } = run(SENT, { kind: "failed", client_order_id: "c1", sentence: "The price is wrong." });
    expect(the(state)).toMatchObject({
      status: "rejected",
      knowledge: "failed",
      notice: "The price is wrong.",
      leaves: "0",
    });
    expect(said).toEqual(["Order not placed. The price is wrong."]);
  });

  test.each([
    ["with the order", { status: "rejected" as const, reason: "insufficient_funds" }],
    ["without it", null],
  ])("is rejected by the exchange %s with a sentence", (_name, order) => {
    const text = "100.025 USD are needed.";
    const { state, said } = run(SENT, ACKED, event("rejected", order, { reason: "insufficient_funds", text }));
    const sentence = "You do not have enough available for this. 100.025 USD are needed.";
    expect(the(state)).toMatchObject({
      status: "rejected",
      notice: sentence,
      leaves: "0",
      reason: "insufficient_funds",
    });
    expect(said).toEqual([`Order rejected. ${sentence}`]);
  });

  test("keeps its terms when it is looked up and comes back rejected, without any", () => {
    const bare = { side: null, type: null, time_in_force: null, price: null, quantity: null, leaves: "0" };
    const order: Order = { ...ORDER, ...bare, status: "rejected", reason: "insufficient_funds" };
    const held = the(run(SENT, { kind: "order", order }).state);
    expect(held).toMatchObject({ status: "rejected", side: "buy", type: "limit", price: "20", quantity: "5" });
  });

  test("stays rejected when the 202 comes after the rejection", () => {
    const { state } = run(SENT, event("rejected", null, { reason: "invalid_tick" }), ACKED);
    expect(the(state)).toMatchObject({ status: "rejected", knowledge: "known", order_id: "1152921504606846976" });
  });
});

describe("a lost answer", () => {
  const LOST: Event = { kind: "unanswered", client_order_id: "c1" };
  const GONE: Event = { kind: "failed", client_order_id: "c1", sentence: "It never arrived." };

  test("leaves the order unsure until the gateway speaks of it", () => {
    expect(the(run(SENT, LOST).state).knowledge).toBe("unsure");
    expect(the(run(SENT, LOST, ACCEPTED).state)).toMatchObject({ knowledge: "known", status: "open" });
    expect(the(run(SENT, LOST, { kind: "order", order: ORDER }).state).status).toBe("open");
  });

  test("that comes after the event changes nothing", () => {
    expect(the(run(SENT, ACCEPTED, LOST).state).knowledge).toBe("known");
    expect(the(run(SENT, ACCEPTED, GONE).state).status).toBe("open");
  });

  test("rolls back, and a late word of the gateway still counts", () => {
    expect(the(run(SENT, LOST, GONE).state)).toMatchObject({ status: "rejected", knowledge: "failed" });
    expect(the(run(SENT, LOST, GONE, ACCEPTED).state)).toMatchObject({
      status: "open",
      knowledge: "known",
      notice: null,
    });
  });
});

test("a command that was sent twice does not make the first one look rejected", () => {
  const again = event("rejected", null, { reason: "duplicate_client_order_id" });
  const { state, said } = run(SENT, ACKED, again, ACCEPTED, again);
  expect(the(state).status).toBe("open");
  expect(said).toEqual([]);
});

describe("which of two states is newer", () => {
  const held = (change: Partial<LocalOrder>): LocalOrder => ({
    ...ORDER,
    knowledge: "known",
    change: null,
    notice: null,
    dismissed: false,
    ...change,
  });
  test.each([
    ["more filled", { filled: "1" }, { filled: "2", updated_ms: 1 }, true],
    ["less filled", { filled: "2" }, { filled: "1", updated_ms: 999 }, false],
    ["pending after open", {}, { status: "pending", updated_ms: 999 }, false],
    ["an end after open", { updated_ms: 500 }, { status: "cancelled", updated_ms: 400 }, true],
    ["open after an end", { status: "cancelled" }, { status: "open", updated_ms: 999 }, false],
    ["an amend of the same fill", { updated_ms: 100 }, { quantity: "7", updated_ms: 101 }, true],
    ["an older amend", { updated_ms: 100 }, { quantity: "7", updated_ms: 99 }, false],
    ["anything after a guess", { knowledge: "failed", status: "rejected" }, { status: "open", updated_ms: 1 }, true],
  ] as [string, Partial<LocalOrder>, Partial<Order>, boolean][])("%s", (_name, before, next, expected) => {
    expect(newer(held(before), { ...ORDER, ...next })).toBe(expected);
  });
});

describe("amend and cancel", () => {
  const ask = (kind: "amend" | "cancel", request_id = "r1"): Event => ({
    kind: "asked",
    request_id,
    request: { kind, target: "c1", label: kind === "amend" ? "The amend" : "The cancel" },
    change: { kind, request_id, quantity: kind === "amend" ? "7" : undefined },
  });

  test("an amend shows as on its way, then as done", () => {
    expect(the(run(ACCEPTED, ask("amend")).state).change).toMatchObject({ kind: "amend", quantity: "7" });
    for (const client_order_id of ["r1", "c1"]) {
      const done = event("amended", { quantity: "7", leaves: "7", updated_ms: 130 }, { client_order_id });
      const { state } = run(ACCEPTED, ask("amend"), done);
      expect(the(state)).toMatchObject({ quantity: "7", change: null });
      expect(state.requests.size).toBe(0);
    }
  });

  test("its pending and accepted events do not end it", () => {
    const pending = event("pending", null, { client_order_id: "r1" });
    expect(the(run(ACCEPTED, ask("amend"), pending, event("accepted", {})).state).change).not.toBeNull();
  });

  test.each(["rejected", "refused"] as const)(
    "an amend that is %s leaves the order as it was, with a sentence",
    (name) => {
      const no = event(name, null, { client_order_id: "r1", reason: "not_open" });
      const { state, said } = run(ACCEPTED, ask("amend"), no);
      expect(the(state)).toMatchObject({ status: "open", quantity: "5", change: null });
      expect(the(state).notice).toBe("It came too late: the order had ended.");
      expect(said).toEqual(["The amend did not happen. It came too late: the order had ended."]);
    },
  );

  test("a cancel ends the order; a fill that was faster ends it as filled", () => {
    const gone = event(
      "cancelled",
      { status: "cancelled", leaves: "0", reason: "requested" },
      { client_order_id: "r1" },
    );
    const { state, said } = run(ACCEPTED, ask("cancel"), gone);
    expect(the(state)).toMatchObject({ status: "cancelled", change: null });
    expect(said).toEqual(["Cancelled: Buy 5 ABC-USD."]);
    expect(the(run(ACCEPTED, ask("cancel"), FULL).state)).toMatchObject({ status: "filled", change: null });
  });

  test("a cancel that the book did by itself says why", () => {
    const post = event("cancelled", { status: "cancelled", leaves: "0", reason: "post_only" });
    expect(run(ACCEPTED, post).said[0]).toContain("you asked for post-only");
  });

  test("a request that was not sent is taken back; without a sentence silently", () => {
    const failed: Event = { kind: "ask_failed", request_id: "r1", sentence: "No answer." };
    expect(run(ACCEPTED, ask("cancel"), failed).said).toEqual(["The cancel did not happen. No answer."]);
    const doubt = run(ACCEPTED, ask("cancel"), { ...failed, in_doubt: true });
    expect(doubt.said).toEqual(["The cancel may or may not have happened. No answer."]);
    expect(run(ACCEPTED, ask("cancel"), { ...failed, sentence: null }).said).toEqual([]);
    expect(the(run(ACCEPTED, ask("cancel"), failed).state).change).toBeNull();
  });

  test("a cancel-all marks the instrument's orders until each has ended", () => {
    const other = event("accepted", { client_order_id: "c2", order_id: "2" }, { client_order_id: "c2" });
    const elsewhere = event("accepted", { client_order_id: "c3", instrument: "X-USD" }, { client_order_id: "c3" });
    const all: Event = {
      kind: "asked",
      request_id: "r9",
      request: { kind: "cancel_all", target: "ABC-USD", label: "The cancel of all" },
    };
    const first = event("cancelled", { status: "cancelled", leaves: "0" }, { client_order_id: "r9" });
    const { state } = run(ACCEPTED, other, elsewhere, all, first);
    expect(the(state, "c1").status).toBe("cancelled");
    expect(the(state, "c2").change).toMatchObject({ kind: "cancel" });
    expect(the(state, "c3").change).toBeNull();
    const none = event("refused", null, { client_order_id: "r9", reason: "nothing_to_cancel" });
    expect(the(run(ACCEPTED, all, none).state).change).toBeNull();
  });
});

describe("the account snapshot", () => {
  const snapshot = (orders: Order[]): Event => ({
    kind: "message",
    message: {
      type: "account",
      orders,
      balances: [{ asset: "USD", available: "10", reserved: "1", total: "11" }],
      sequence: 0,
      position: "p1",
    },
  });

  test("fills the state and keeps orders that are still on their way", () => {
    const { state } = run(SENT, snapshot([{ ...ORDER, client_order_id: "c2", order_id: "2" }]));
    expect([...state.orders.keys()]).toEqual(["c1", "c2"]);
    expect(state).toMatchObject({ loaded: true, position: "p1" });
    expect(state.balances.get("USD")).toEqual({ asset: "USD", available: "10", reserved: "1" });
  });

  test("has orders looked up that it does not name any more", () => {
    expect(run(ACCEPTED, snapshot([])).look_up).toEqual(["c1"]);
    expect(run(SENT, snapshot([])).look_up).toEqual([]);
    expect(run(ACCEPTED, FULL, snapshot([])).look_up).toEqual([]);
  });
});

test("a deposit is announced when it is settled, or why it was not", () => {
  const asked: Event = {
    kind: "asked",
    request_id: "d1",
    request: { kind: "deposit", target: "USD", label: "The deposit of 5 USD" },
  };
  expect(run(asked, event("transferred", null, { client_order_id: "d1" })).said).toEqual([
    "The deposit of 5 USD is done.",
  ]);
  const no = event("rejected", null, { client_order_id: "d1", reason: "invalid_amount" });
  expect(run(asked, no).said[0]).toContain("The deposit of 5 USD did not happen.");
});

test("balances follow their messages; fills come once, newest first", () => {
  const balance: Event = {
    kind: "message",
    message: { type: "balance", sequence: 1, position: "b", asset: "USD", available: "3", reserved: "0", time_ms: 1 },
  };
  expect(run(balance).state.balances.get("USD")).toEqual({ asset: "USD", available: "3", reserved: "0" });
  const fill = (trade_id: string, traded_ms: number): Fill => ({
    ...{ trade_id, traded_ms, order_id: "1", client_order_id: "c1", instrument: "ABC-USD", side: "buy" },
    ...{ liquidity: "taker", price: "20", quantity: "1", notional: "20", fee: "0", fee_asset: "USD" },
  });
  const { state } = run(
    { kind: "fills", fills: [fill("1", 10), fill("2", 20)] },
    { kind: "fills", fills: [fill("2", 20), fill("3", 15)] },
  );
  expect(state.fills.map((one) => one.trade_id)).toEqual(["2", "3", "1"]);
});

test("ended orders are forgotten beyond a bound, open ones never", () => {
  const many: Event[] = [ACCEPTED];
  for (let index = 0; index < 300; index++) {
    const id = `e${index}`;
    many.push(event("accepted", { client_order_id: id }, { client_order_id: id }));
    many.push(event("cancelled", { client_order_id: id, status: "cancelled" }, { client_order_id: id }));
  }
  const { state } = run(...many);
  expect(state.orders.size).toBe(201);
  expect(the(state).status).toBe("open");
  expect(state.orders.has("e0")).toBe(false);
});

test("states that were handed out do not change afterwards", () => {
  const before = run(SENT).state;
  const copy = new Map(before.orders);
  reduce(before, ACCEPTED);
  expect(before.orders).toEqual(copy);
});

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length <= 1) return [[...list]];
  return list.flatMap((first, index) =>
    permutations([...list.slice(0, index), ...list.slice(index + 1)]).map((rest) => [first, ...rest]),
  );
}
