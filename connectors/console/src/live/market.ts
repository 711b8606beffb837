/**
 * Market data of the chosen instrument on screen: book, tape, ticker. Messages go into plain objects; the screen takes
 * them some times a second, so that a busy book costs the browser no more than a calm one. The chart has `candles.ts`.
 */
import { batch, signal } from "@preact/signals";
import {
  readInstrument,
  type Instrument,
  type Interval,
  type InstrumentWire,
  type ServerMessage,
  type StatusMessage,
  type Ticker,
  type Trade,
} from "../api/types";
import { sentenceOf } from "../api/problems";
import { client } from "../session";
import { backoffMs } from "./backoff";
import { DepthBook, ladder, type LadderRow } from "./depth";
import { socket } from "./link";
import { addTrades } from "./join";

const LEVELS = 50;
const CALM_MS = 30_000;
/** Eyes follow a book no faster. */
const DRAW_EACH_MS = 90;
const RELOAD_MS = 3_000;

export const instruments = signal<ReadonlyMap<string, Instrument> | null>(null);
/** Why the list of instruments is not there. */
export const instrumentsProblem = signal<string | null>(null);
export const chosen = signal<string | null>(null);
export const interval = signal<Interval>("1m");

export interface BookView {
  bids: LadderRow[];
  asks: LadderRow[];
  sequence: number;
}
/** Null while there is no proved book. */
export const book = signal<BookView | null>(null);
/** Newest first; null until loaded. */
export const trades = signal<readonly Trade[] | null>(null);
export const ticker = signal<Ticker | null>(null);
/** All instruments' tickers, for the picker. */
export const tickers = signal<ReadonlyMap<string, Ticker>>(new Map());

export async function loadInstruments(): Promise<void> {
  try {
    const list = await client.instruments();
    const bySymbol = list.map(readInstrument).sort((a, b) => a.symbol.localeCompare(b.symbol));
    batch(() => {
      instruments.value = new Map(bySymbol.map((instrument) => [instrument.symbol, instrument]));
      instrumentsProblem.value = null;
    });
    // Nothing is listed yet: a fresh exchange, whose operations are about to publish.
    if (list.length === 0) setTimeout(() => void loadInstruments(), RELOAD_MS);
  } catch (error) {
    instrumentsProblem.value = sentenceOf(error);
    setTimeout(() => void loadInstruments(), RELOAD_MS);
  }
}

let stopAll: (() => void) | null = null;

/** Follows another instrument; null follows none. */
export function follow(symbol: string | null): void {
  if (symbol === chosen.peek()) return;
  stopAll?.();
  stopAll = null;
  batch(() => {
    chosen.value = symbol;
    book.value = null;
    trades.value = null;
    ticker.value = null;
  });
  if (symbol === null) return;
  const stops = [followBook(symbol), followTrades(symbol), followTicker(symbol), followStatus(symbol)];
  stopAll = () => stops.forEach((stop) => stop());
}

/** Calls `work` soon, once however often it is asked; in a tab that nobody sees not before it is seen. */
function calmly(work: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    setTimeout(() => {
      requestAnimationFrame(() => {
        asked = false;
        work();
      });
    }, DRAW_EACH_MS);
  };
}

function followBook(symbol: string): () => void {
  const held = new DepthBook(LEVELS);
  const channel = { channel: "depth", instrument: symbol, levels: LEVELS } as const;
  const draw = calmly(() => {
    if (chosen.peek() !== symbol) return;
    book.value = held.sequence > 0 ? { ...ladder(held, LEVELS), sequence: held.sequence } : null;
  });
  let failures = 0;
  let failed_ms = 0;
  let again: ReturnType<typeof setTimeout> | undefined;
  const repair = (what: string) => {
    console.warn(`The book of ${symbol} does not follow (${what}); subscribing again.`);
    failures = Date.now() - failed_ms > CALM_MS ? 0 : failures + 1;
    failed_ms = Date.now();
    clearTimeout(again);
    // The first time at once; a book that keeps failing must not turn into a storm of snapshots.
    again = setTimeout(() => socket.resubscribe(channel), failures === 0 ? 0 : backoffMs(failures, Math.random));
    draw();
  };
  const stop = socket.subscribe(channel, {
    message: (message) => {
      if (message.type !== "depth") return;
      let applied: string;
      try {
        applied = held.apply(message);
      } catch (error) {
        held.reset();
        applied = error instanceof Error ? error.message : "unreadable";
      }
      if (applied === "ok") draw();
      else if (applied !== "early") repair(applied);
    },
  });
  return () => {
    clearTimeout(again);
    stop();
  };
}

function followTrades(symbol: string): () => void {
  let held: readonly Trade[] = [];
  let loaded = false;
  const draw = calmly(() => {
    if (chosen.peek() === symbol && loaded) trades.value = held;
  });
  const load = async () => {
    try {
      held = addTrades(held, await client.trades(symbol, 100));
    } catch {
      // The live tape goes on without its past.
    }
    loaded = true;
    draw();
  };
  // Each new subscription, after a reconnect too, fills what was missed meanwhile.
  return socket.subscribe(
    { channel: "trades", instrument: symbol },
    {
      resume: () => {
        void load();
        return {};
      },
      message: (message) => {
        if (message.type !== "trade") return;
        const { trade_id, price, quantity, taker_side, time_ms } = message;
        held = addTrades(held, [{ trade_id, price, quantity, taker_side, traded_ms: time_ms }]);
        draw();
      },
    },
  );
}

function followTicker(symbol: string): () => void {
  let held: Ticker | null = null;
  const draw = calmly(() => {
    if (chosen.peek() === symbol) ticker.value = held;
  });
  const load = async () => {
    try {
      const all = await client.tickers();
      tickers.value = new Map(all.map((entry) => [entry.instrument, entry]));
      held ??= tickers.value.get(symbol) ?? null;
      draw();
    } catch {
      // The channel brings it.
    }
  };
  void load();
  return socket.subscribe(
    { channel: "ticker", instrument: symbol },
    {
      message: (message) => {
        if (message.type !== "ticker") return;
        held = message;
        draw();
      },
    },
  );
}

const PARTS_OF_INSTRUMENT = [
  "base_asset",
  "quote_asset",
  "tick_size",
  "lot_size",
  "min_quantity",
  "max_quantity",
  "min_notional",
  "max_notional",
  "reference_price",
  "collar_ppm",
  "maker_fee_ppm",
  "taker_fee_ppm",
] as const;

function followStatus(symbol: string): () => void {
  return socket.subscribe(
    { channel: "status", instrument: symbol },
    { message: (message: ServerMessage) => message.type === "status" && takeStatus(message) },
  );
}

/** A status message may bring only the status, or the whole instrument. */
function takeStatus(message: StatusMessage): void {
  const all = instruments.peek();
  const held = all?.get(message.instrument);
  if (!all || !held) return;
  const whole = PARTS_OF_INSTRUMENT.every((part) => message[part] !== undefined);
  const next = whole
    ? readInstrument({ ...(message as unknown as InstrumentWire), symbol: message.instrument })
    : { ...held, status: message.status };
  instruments.value = new Map(all).set(message.instrument, next);
}

/** Live tickers of all instruments while the picker is open, and instruments that were listed since. */
export function followTickers(): () => void {
  if (instruments.peek()?.size) void loadInstruments();
  const held = new Map(tickers.peek());
  const draw = calmly(() => {
    tickers.value = new Map(held);
  });
  client.tickers().then(
    (all) => {
      for (const entry of all) held.set(entry.instrument, entry);
      draw();
    },
    () => undefined,
  );
  return socket.subscribe(
    { channel: "ticker", instrument: "*" },
    {
      message: (message) => {
        if (message.type !== "ticker") return;
        held.set(message.instrument, message);
        draw();
      },
    },
  );
}
