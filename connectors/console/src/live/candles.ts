/** A chart's candles: the past by REST, the running one by its channel, joined by bucket. Absent: drawing. */
import type { Candle, Interval, ServerMessage } from "../api/types";
import { client } from "../session";
import { joinCandles } from "./join";
import { socket } from "./link";

const PAGE = 500;

export interface Drawing {
  all(candles: readonly Candle[]): void;
  one(candle: Candle): void;
}

/** Keeps a drawing up to date until `stop`. `older` loads the page before the first candle. */
export function followCandles(symbol: string, interval: Interval, drawing: Drawing) {
  let held: Candle[] = [];
  /** The latest that this subscription brought; it is newer than what a page says of its bucket. */
  let live: Candle | null = null;
  let stopped = false;
  let loading = false;
  let atStart = false;

  const load = async (to_ms?: number) => {
    if (loading) return;
    loading = true;
    try {
      const page = await client.candles(symbol, { interval, limit: PAGE, to_ms });
      if (stopped) return;
      held = joinCandles(joinCandles(held, page), live ? [live] : []);
      if (to_ms !== undefined && page.every((candle) => candle.bucket_ms >= to_ms)) atStart = true;
      drawing.all(held);
    } catch {
      if (!stopped) drawing.all(held);
    } finally {
      loading = false;
    }
  };

  const leave = socket.subscribe(
    { channel: "candles", instrument: symbol, interval },
    {
      resume: () => {
        live = null;
        void load();
        return {};
      },
      message: (message: ServerMessage) => {
        if (message.type !== "candle") return;
        const { bucket_ms, open, high, low, close, volume, trades } = message;
        const candle = { bucket_ms, open, high, low, close, volume, trades };
        live = candle;
        const last = held.at(-1);
        if (last && bucket_ms < last.bucket_ms) {
          held = joinCandles(held, [candle]);
          drawing.all(held);
        } else {
          held = last?.bucket_ms === bucket_ms ? [...held.slice(0, -1), candle] : [...held, candle];
          drawing.one(candle);
        }
      },
    },
  );
  return {
    older: () => {
      const first = held[0];
      if (first && !atStart) void load(first.bucket_ms - 1);
    },
    stop: () => {
      stopped = true;
      leave();
    },
  };
}
