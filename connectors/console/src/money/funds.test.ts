import { describe, expect, test } from "vitest";
import { instrument } from "./fixture";
import { affordable, collar, fee, notional, reservation, sweep, worstPrice } from "./funds";
import { ONE, units } from "./units";

describe("rounding, as in processors/domain/src/money.rs", () => {
  test("a notional and a fee are rounded down", () => {
    expect(notional((15n * ONE) / 10n, 1n)).toBe(1n);
    expect(notional(units("20"), units("5"))).toBe(units("100"));
    expect(fee(999n, 1_000)).toBe(0n);
    expect(fee(units("100"), 250)).toBe(units("0.025"));
  });

  test("a purchase's reservation is rounded up, twice", () => {
    expect(reservation("buy", (15n * ONE) / 10n, 1n, 0)).toBe(2n);
    expect(reservation("buy", units("20"), units("5"), 250)).toBe(units("100.025"));
    expect(reservation("buy", 1n, 1n, 250)).toBe(2n);
  });

  test("a sale reserves its quantity", () => {
    expect(reservation("sell", ONE, 5n, 2_000)).toBe(5n);
  });

  test("a reservation covers any fills at the limit with their fees", () => {
    let seed = 7n;
    const next = (below: bigint) =>
      (seed = (seed * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) % 2n ** 64n) % below;
    for (let round = 0; round < 300; round++) {
      const [price, ppm] = [next(50n * ONE) + 1n, Number(next(5_000n))];
      const fills = Array.from({ length: 4 }, () => next(3n * ONE) + 1n);
      const quantity = fills.reduce((a, b) => a + b);
      const spent = fills.map((part) => notional(price, part)).reduce((sum, cost) => sum + cost + fee(cost, ppm), 0n);
      expect(spent <= reservation("buy", price, quantity, ppm)).toBe(true);
    }
  });
});

test("the collar lies around the reference price", () => {
  expect(collar(instrument())).toEqual({ low: units("10"), high: units("30") });
  expect(collar(instrument({ reference_price: "0.00000003", collar_ppm: 500_000 }))).toEqual({ low: 2n, high: 4n });
});

test.each([
  ["buy", "limit", "18", "18"],
  ["sell", "stop_limit", "22", "22"],
  ["buy", "market", null, "29.97"],
  ["sell", "market", null, "10.02"],
  ["buy", "stop", null, "29.97"],
] as const)(
  "the worst price of a %s %s order with limit %s is %s, a tick inside the collar",
  (side, type, limit, worst) => {
    // The collar is 10.02 to 29.98; the tick 0.03 divides the first only.
    const some = instrument({ tick_size: "0.03", collar_ppm: 499_000 });
    expect(worstPrice(side, type, limit === null ? null : units(limit), some)).toBe(units(worst));
  },
);

describe("what one can afford", () => {
  test("a purchase leaves room for the fee, in whole lots", () => {
    const some = instrument();
    const quantity = affordable("buy", units("20"), units("100.025"), some);
    expect(quantity).toBe(units("5"));
    expect(affordable("buy", units("20"), units("100.02499999"), some)).toBe(units("4"));
  });

  test("the answer is the largest: one lot more is too much", () => {
    const some = instrument({ lot_size: "0.001", max_quantity: "1000000" });
    for (const has of ["1", "33.333", "1000", "99999.99999999"]) {
      const quantity = affordable("buy", units("7.77"), units(has), some);
      expect(reservation("buy", units("7.77"), quantity, 250) <= units(has)).toBe(true);
      expect(reservation("buy", units("7.77"), quantity + units("0.001"), 250) > units(has)).toBe(true);
    }
  });

  test("a sale is what is held, at most the largest quantity", () => {
    expect(affordable("sell", units("20"), units("7.9"), instrument())).toBe(units("7"));
    expect(affordable("sell", units("20"), units("5000"), instrument())).toBe(units("1000"));
    expect(affordable("buy", units("20"), 0n, instrument())).toBe(0n);
  });
});

test("a market order sweeps the levels up to its worst price", () => {
  const asks = [
    [units("20"), units("2")],
    [units("21"), units("2")],
    [units("31"), units("9")],
  ] as const;
  expect(sweep("buy", asks, units("3"), units("30"))).toEqual({
    filled: units("3"),
    notional: units("61"),
    last: units("21"),
  });
  expect(sweep("buy", asks, units("9"), units("30")).filled).toBe(units("4"));
  expect(sweep("sell", [], units("1"), 1n)).toEqual({ filled: 0n, notional: 0n, last: null });
});
