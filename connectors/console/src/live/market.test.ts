import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { DepthMessage, ServerMessage } from "../api/types";
import { levelChecksum } from "./depth";
import { units } from "../money/units";
import type { Channel, Listener } from "./socket";

const listeners = new Map<string, Listener>();
const resubscribe = vi.fn();
const left: string[] = [];
vi.mock("./link", () => ({
  socket: {
    subscribe: ({ channel, instrument }: Channel, listener: Listener) => {
      listeners.set(`${channel} ${instrument}`, listener);
      return () => left.push(`${channel} ${instrument}`);
    },
    resubscribe: (...args: unknown[]) => resubscribe(...args),
  },
}));
vi.mock("../session", () => ({
  client: {
    trades: async () => [],
    tickers: async () => [],
    instruments: async () => [INSTRUMENT],
  },
}));

const INSTRUMENT = {
  symbol: "ABC-USD",
  base_asset: "ABC",
  quote_asset: "USD",
  tick_size: "0.01",
  lot_size: "1",
  min_quantity: "1",
  max_quantity: "10",
  min_notional: "1",
  max_notional: "100",
  reference_price: "20",
  collar_ppm: 1,
  maker_fee_ppm: 1,
  taker_fee_ppm: 2,
  status: "open",
};
const SNAPSHOT: DepthMessage = {
  type: "depth",
  instrument: "ABC-USD",
  kind: "snapshot",
  levels: 50,
  sequence: 5,
  bids: [["20", "5"]],
  asks: [],
  checksum: levelChecksum("B", units("20"), units("5")),
  time_ms: 1,
};
let market: typeof import("./market");
const tell = (message: ServerMessage, channel: string) => listeners.get(`${channel} ABC-USD`)?.message(message);

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  listeners.clear();
  left.length = 0;
  resubscribe.mockClear();
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.stubGlobal("requestAnimationFrame", (work: () => void) => setTimeout(work, 0));
  market = await import("./market");
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a proved book is shown, soon and once for many messages", () => {
  market.follow("ABC-USD");
  tell(SNAPSHOT, "depth");
  expect(market.book.value).toBeNull();
  vi.advanceTimersByTime(100);
  expect(market.book.value?.bids.map((row) => row.price)).toEqual([units("20")]);
});

test("a book that does not follow is taken off the screen and subscribed to again, at once, then ever later", () => {
  market.follow("ABC-USD");
  tell(SNAPSHOT, "depth");
  vi.advanceTimersByTime(100);
  tell({ ...SNAPSHOT, checksum: 1 }, "depth");
  vi.advanceTimersByTime(100);
  expect(market.book.value).toBeNull();
  expect(resubscribe).toHaveBeenCalledTimes(1);
  for (const most_ms of [1_000, 2_000, 4_000]) {
    const before = resubscribe.mock.calls.length;
    tell({ ...SNAPSHOT, checksum: 1 }, "depth");
    vi.advanceTimersByTime(most_ms / 2 - 1);
    expect(resubscribe).toHaveBeenCalledTimes(before);
    vi.advanceTimersByTime(most_ms / 2 + 1);
    expect(resubscribe).toHaveBeenCalledTimes(before + 1);
  }
});

test("amounts that can't be read count as a book that does not follow", () => {
  market.follow("ABC-USD");
  tell({ ...SNAPSHOT, bids: [["twenty", "5"]] }, "depth");
  vi.advanceTimersByTime(1);
  expect(resubscribe).toHaveBeenCalledTimes(1);
});

test("another instrument leaves the channels of the first, whose late messages change nothing", () => {
  market.follow("ABC-USD");
  market.follow("X-USD");
  expect(left).toEqual(["depth ABC-USD", "trades ABC-USD", "ticker ABC-USD", "status ABC-USD"]);
  tell(SNAPSHOT, "depth");
  vi.advanceTimersByTime(100);
  expect(market.book.value).toBeNull();
});

test("a status message changes the instrument: its state alone, or all of it", async () => {
  await market.loadInstruments();
  market.follow("ABC-USD");
  tell({ type: "status", instrument: "ABC-USD", status: "halted" }, "status");
  expect(market.instruments.value?.get("ABC-USD")).toMatchObject({ status: "halted", tick_size: units("0.01") });
  const { symbol: _symbol, ...parts } = INSTRUMENT;
  tell({ type: "status", instrument: "ABC-USD", ...parts, tick_size: "0.05" }, "status");
  expect(market.instruments.value?.get("ABC-USD")).toMatchObject({ status: "open", tick_size: units("0.05") });
});
