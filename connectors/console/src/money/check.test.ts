import { describe, expect, test } from "vitest";
import { canRest, checkOrder, timesInForce, type Draft } from "./check";
import { instrument } from "./fixture";
import { units } from "./units";

const NOW_MS = Date.parse("2026-01-01T12:00:00");
const DRAFT: Draft = {
  side: "buy",
  type: "limit",
  quantity: "5",
  price: "20",
  stop_price: "",
  time_in_force: "gtc",
  expires_at: "",
  post_only: false,
  display_quantity: "",
};
const check = (change: Partial<Draft>, about = instrument(), has = "1000000") =>
  checkOrder({ ...DRAFT, ...change }, about, () => units(has), NOW_MS);

test("a good order has its cost: notional, both fees, the reservation", () => {
  const { problems, cost, amounts } = check({});
  expect(problems).toEqual({});
  expect(cost).toEqual({
    notional: units("100"),
    maker_fee: units("0.01"),
    taker_fee: units("0.025"),
    reserved: units("100.025"),
    reserved_asset: "USD",
    worst: units("20"),
  });
  expect(amounts).toEqual({
    quantity: units("5"),
    price: units("20"),
    stop_price: null,
    display_quantity: null,
    expires_at_ms: null,
  });
});

test("a sale reserves the base asset; a market order is bounded by the collar", () => {
  expect(check({ side: "sell" }).cost).toMatchObject({ reserved: units("5"), reserved_asset: "ABC" });
  expect(check({ type: "market", price: "", time_in_force: "ioc" }).cost).toMatchObject({
    worst: units("30"),
    reserved: units("150.0375"),
  });
});

describe("each mistake has its sentence", () => {
  test.each([
    [{ quantity: "" }, "quantity", "Quantity is missing."],
    [{ quantity: "0" }, "quantity", "Quantity must be above 0 and below 10,000,000,000."],
    [{ quantity: "2.5" }, "quantity", "Quantity must be a multiple of the lot size 1: 2 or 3."],
    [{ quantity: "0.5" }, "quantity", "Quantity must be a multiple of the lot size 1: 1."],
    [{ quantity: "1001" }, "quantity", "Quantity must be at most 1,000 ABC."],
    [{ quantity: "600" }, "quantity", "The order is worth 12,000 USD; the largest is 10,000."],
    [{ price: "20.005" }, "price", "Price must be a multiple of the tick size 0.01: 20.00 or 20.01."],
    [{ price: "0" }, "price", "Price must be above 0 and below 10,000,000,000."],
    [{ price: "30.01" }, "price", "Price must lie between 10.00 and 30.00."],
    [{ price: "9.99" }, "price", "Price must lie between 10.00 and 30.00."],
    [{ type: "stop", time_in_force: "gtc" }, "stop_price", "Stop price is missing."],
    [{ display_quantity: "6" }, "display_quantity", "Displayed quantity must be above 0 and at most the quantity."],
    [{ display_quantity: "1.5" }, "display_quantity", "Displayed quantity must be a multiple of the lot size 1."],
    [{ time_in_force: "gtd" }, "expires_at", "Say until when the order should live."],
    [{ time_in_force: "gtd", expires_at: "2026-01-01T11:59" }, "expires_at", "That time has passed."],
  ] as [Partial<Draft>, string, string][])("%j: %s: %s", (change, field, sentence) => {
    const { problems, amounts } = check(change);
    expect(problems).toEqual({ [field]: sentence });
    expect(amounts).toBeNull();
  });

  test("an order worth too little says so", () => {
    const cheap = instrument({ min_notional: "50" });
    expect(check({ quantity: "2" }, cheap).problems.quantity).toBe("The order is worth 40 USD; the smallest is 50.");
  });

  test("a halted instrument takes no orders", () => {
    const { problems, amounts } = check({}, instrument({ status: "halted" }));
    expect(problems.instrument).toBe("ABC-USD is halted: it takes only cancels now.");
    expect(amounts).toBeNull();
  });
});

test("missing funds warn but do not hold the order back: the exchange knows better", () => {
  const { problems, amounts } = check({}, instrument(), "100.02499999");
  expect(problems).toEqual({ funds: "This needs 100.025 USD; you have 100.02499999 available." });
  expect(amounts).not.toBeNull();
});

test("what a type ignores is not checked", () => {
  expect(
    check({ type: "market", price: "rubbish", time_in_force: "ioc", display_quantity: "rubbish" }).problems,
  ).toEqual({});
});

test("times in force follow the type, and only a resting limit order may be post-only", () => {
  expect(timesInForce("market")).toEqual(["ioc", "fok"]);
  expect(timesInForce("stop")).toEqual(["gtc", "day", "gtd"]);
  expect(timesInForce("limit")[0]).toBe("gtc");
  expect(canRest("limit", "day")).toBe(true);
  expect(canRest("limit", "ioc")).toBe(false);
  expect(canRest("stop_limit", "gtc")).toBe(false);
});
