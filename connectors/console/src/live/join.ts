/** Joins what REST tells with what a channel tells: none twice, in order. */
import type { Candle, Trade } from "../api/types";

export const TAPE_KEPT = 100;

/** Trade ids are decimal strings beyond 2^53: longer is larger, else they compare as text. */
const later = (a: Trade, b: Trade) =>
  b.traded_ms - a.traded_ms || b.trade_id.length - a.trade_id.length || (a.trade_id < b.trade_id ? 1 : -1);

export function addTrades(held: readonly Trade[], more: readonly Trade[]): readonly Trade[] {
  const known = new Set(held.map((trade) => trade.trade_id));
  const fresh = more.filter((trade) => !known.has(trade.trade_id));
  return fresh.length ? [...held, ...fresh].sort(later).slice(0, TAPE_KEPT) : held;
}

/** Joins candles, oldest first; of one bucket the one of `more` counts. */
export function joinCandles(held: readonly Candle[], more: readonly Candle[]): Candle[] {
  const byBucket = new Map(held.map((candle) => [candle.bucket_ms, candle]));
  for (const candle of more) byBucket.set(candle.bucket_ms, candle);
  return [...byBucket.values()].sort((a, b) => a.bucket_ms - b.bucket_ms);
}
