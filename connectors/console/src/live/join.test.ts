import { expect, test } from "vitest";
import type { Candle, Trade } from "../api/types";
import { change24h } from "./change";
import { addTrades, joinCandles, TAPE_KEPT } from "./join";

const trade = (trade_id: string, traded_ms: number): Trade => ({
  trade_id,
  price: "1",
  quantity: "1",
  taker_side: "buy",
  traded_ms,
});

test("trades are newest first and none twice, also within one millisecond", () => {
  const held = addTrades([], [trade("9007199254740993", 5), trade("9007199254740994", 5), trade("7", 9)]);
  expect(held.map((one) => one.trade_id)).toEqual(["7", "9007199254740994", "9007199254740993"]);
  expect(addTrades(held, [trade("7", 9)])).toBe(held);
});

test("the tape keeps a bound", () => {
  const many = Array.from({ length: 150 }, (_, index) => trade(String(index), index));
  expect(addTrades([], many).length).toBe(TAPE_KEPT);
});

test("candles are joined by bucket, the later word counts", () => {
  const candle = (bucket_ms: number, close: string): Candle => ({
    ...{ bucket_ms, close, open: "1", high: "1", low: "1", volume: "1", trades: 1 },
  });
  const joined = joinCandles([candle(2, "2"), candle(3, "3")], [candle(1, "1"), candle(3, "9")]);
  expect(joined.map(({ bucket_ms, close }) => [bucket_ms, close])).toEqual([
    [1, "1"],
    [2, "2"],
    [3, "9"],
  ]);
});

test.each([
  ["110", "100", "up", "▲ 10.00 %"],
  ["99.5", "100", "down", "▼ 0.50 %"],
  ["100", "100", "flat", "= 0.00 %"],
])("a last price of %s after %s is %s: %s", (last, open_24h, tone, text) => {
  expect(change24h({ last, open_24h })).toEqual({ tone, text });
});

test("without a price there is no change", () => {
  expect(change24h({ last: null, open_24h: "1" })).toBeNull();
});
