import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { PlaceOrder } from "../api/types";

let answers: Map<string, () => Response>;
let calls: string[];
let account: typeof import("./account");
let notices: typeof import("../notices");

const json = (status: number, body: unknown) => () => new Response(JSON.stringify(body), { status });
const broken = () => {
  throw new TypeError("no network");
};
const ORDER: PlaceOrder = {
  client_order_id: "c1",
  instrument: "ABC-USD",
  side: "buy",
  type: "limit",
  quantity: "5",
  price: "20",
};
const KNOWN = { ...ORDER, order_id: "7", filled: "0", leaves: "5", status: "open", updated_ms: 1 };

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  answers = new Map();
  calls = [];
  vi.stubGlobal("window", {});
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    const call = `${init.method} ${url}`;
    calls.push(call);
    return (answers.get(call) ?? broken)();
  });
  account = await import("./account");
  notices = await import("../notices");
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const held = () => account.account.value.orders.get("c1");
const said = () => notices.notices.value.map((notice) => notice.text);
const PLACE = "POST /v1/orders";
const LOOK = "GET /v1/orders/c1";

describe("placing", () => {
  test("shows the order before the answer and its id after it", async () => {
    answers.set(PLACE, json(202, { order_id: "7", client_order_id: "c1", status: "pending", position: "p" }));
    const placing = account.place(ORDER);
    expect(held()).toMatchObject({ status: "pending", knowledge: "sending" });
    await placing;
    expect(held()).toMatchObject({ status: "pending", knowledge: "known", order_id: "7" });
  });

  test("rolls back with the refusal's sentence", async () => {
    answers.set(PLACE, json(422, { code: "invalid_tick", status: 422 }));
    await account.place(ORDER);
    expect(held()).toMatchObject({ status: "rejected", knowledge: "failed" });
    expect(said()[0]).toContain("not a multiple of the instrument's tick size");
    expect(calls).toEqual([PLACE]);
  });

  test.each([
    ["the connection breaks", broken],
    ["the gateway can't tell", json(503, { code: "outcome_unknown", status: 503 })],
  ])("looks the order up where %s, and finds it", async (_name, answer) => {
    answers.set(PLACE, answer);
    answers.set(LOOK, json(404, { code: "unknown_order" }));
    await account.place(ORDER);
    expect(held()?.knowledge).toBe("unsure");
    answers.set(LOOK, json(200, KNOWN));
    await vi.advanceTimersByTimeAsync(2_100);
    expect(held()).toMatchObject({ status: "open", knowledge: "known" });
    expect(calls.filter((call) => call === PLACE).length).toBe(1);
  });

  test("rolls back when nobody knows the order, however long the gateway was away before", async () => {
    await account.place(ORDER);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(held()?.knowledge).toBe("unsure");
    answers.set(LOOK, json(404, { code: "unknown_order" }));
    await vi.advanceTimersByTimeAsync(8_000);
    expect(held()?.knowledge).toBe("unsure");
    await vi.advanceTimersByTimeAsync(6_000);
    expect(held()).toMatchObject({ status: "rejected", knowledge: "failed" });
    calls = [];
    await vi.advanceTimersByTimeAsync(60_000);
    expect(calls).toEqual([]);
  });
});

test("a cancel that is refused gives the order back with a sentence", async () => {
  answers.set(PLACE, json(202, { order_id: "7", client_order_id: "c1", status: "pending", position: "p" }));
  await account.place(ORDER);
  vi.stubGlobal("fetch", async () => json(404, { code: "unknown_order", status: 404 })());
  const cancelling = account.cancel("c1");
  expect(held()?.change).toMatchObject({ kind: "cancel" });
  await cancelling;
  expect(held()).toMatchObject({ change: null, notice: "You have no such order." });
});

test("ids are made here, are unique and fit the exchange's rules", () => {
  const ids = Array.from({ length: 100 }, () => account.newId());
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^web-[0-9a-f]{24}$/);
});
