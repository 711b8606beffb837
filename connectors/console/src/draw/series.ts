/** Sums rows of the analytics into what the charts draw. Money stays exact; floats are for bars only. */
import type { Analytics } from "../api/types";
import { units, type Units } from "../money/units";

export interface Bucket {
  at_ms: number;
  notional: Units;
  trades: number;
}

/** Notional over time of one instrument or of all that share a quote asset, in `count` equal buckets up to the last minute. */
export function buckets(
  rows: Analytics["volume"],
  keep: (instrument: string) => boolean,
  hours: number,
  count: number,
  now_ms: number,
): Bucket[] {
  const width_ms = (hours * 3_600_000) / count;
  const start_ms = now_ms - hours * 3_600_000;
  const result = Array.from({ length: count }, (_, index) => ({
    at_ms: Math.round(start_ms + index * width_ms),
    notional: 0n,
    trades: 0,
  }));
  for (const row of rows) {
    if (!keep(row.instrument)) continue;
    const index = Math.floor((row.minute_ms - start_ms) / width_ms);
    const bucket = result[Math.min(index, count - 1)];
    if (!bucket || index < 0) continue;
    bucket.notional += units(row.notional);
    bucket.trades += row.trades;
  }
  return result;
}

export interface Total {
  instrument: string;
  volume: Units;
  notional: Units;
  trades: number;
}

/** Totals by instrument, most trades first. */
export function totals(rows: Analytics["volume"]): Total[] {
  const byInstrument = new Map<string, Total>();
  for (const row of rows) {
    const total = byInstrument.get(row.instrument) ?? {
      instrument: row.instrument,
      volume: 0n,
      notional: 0n,
      trades: 0,
    };
    total.volume += units(row.volume);
    total.notional += units(row.notional);
    total.trades += row.trades;
    byInstrument.set(row.instrument, total);
  }
  return [...byInstrument.values()].sort((a, b) => b.trades - a.trades);
}
