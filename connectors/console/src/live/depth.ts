/**
 * A book's levels as the gateway's depth channel tells them, proved after each message by the channel's checksum.
 * What to do about a gap or a mismatch (subscribe again) is for `market.ts`.
 */
import type { DepthLevels, DepthMessage } from "../api/types";
import { units, type Units } from "../money/units";
import { crc32 } from "./crc32";

const scratch = new Uint8Array(17);
const view = new DataView(scratch.buffer);

/** What one level adds to the checksum: CRC-32 of 'B' or 'S', price and quantity as big-endian i64 in 10^-8 units. */
export function levelChecksum(side: "B" | "S", price: Units, quantity: Units): number {
  scratch[0] = side.charCodeAt(0);
  view.setBigInt64(1, price);
  view.setBigInt64(9, quantity);
  return crc32(scratch);
}

export type Level = readonly [price: Units, quantity: Units];
/** `gap`: a delta does not follow what is held. `mismatch`: the checksum differs. `early`: a delta before any snapshot. */
export type Applied = "ok" | "gap" | "mismatch" | "early";

export class DepthBook {
  private readonly bids = new Map<Units, Units>();
  private readonly asks = new Map<Units, Units>();
  private sum = 0;
  private ready = false;
  sequence = 0;
  time_ms = 0;

  constructor(readonly levels: DepthLevels) {}

  get checksum(): number {
    return this.sum;
  }

  /** Takes one message. After anything but `ok` the book is empty and waits for a snapshot. */
  apply(message: DepthMessage): Applied {
    if (message.kind === "snapshot") {
      this.reset();
      this.ready = true;
    } else if (!this.ready) {
      return "early";
    } else if (message.previous !== this.sequence) {
      this.reset();
      return "gap";
    }
    for (const [price, quantity] of message.bids) this.set("B", units(price), units(quantity));
    for (const [price, quantity] of message.asks) this.set("S", units(price), units(quantity));
    this.trim();
    this.sequence = message.sequence;
    this.time_ms = message.time_ms;
    if (this.sum !== message.checksum >>> 0) {
      this.reset();
      return "mismatch";
    }
    return "ok";
  }

  reset(): void {
    this.bids.clear();
    this.asks.clear();
    this.sum = 0;
    this.sequence = 0;
    this.ready = false;
  }

  /** Best first. */
  side(side: "B" | "S"): Level[] {
    const levels = [...(side === "B" ? this.bids : this.asks)] as Level[];
    const direction = side === "B" ? -1 : 1;
    return levels.sort((a, b) => (a[0] < b[0] ? -direction : a[0] > b[0] ? direction : 0));
  }

  private set(side: "B" | "S", price: Units, quantity: Units): void {
    const levels = side === "B" ? this.bids : this.asks;
    const before = levels.get(price);
    if (before !== undefined) this.sum = (this.sum - levelChecksum(side, price, before)) >>> 0;
    if (quantity > 0n) {
      levels.set(price, quantity);
      this.sum = (this.sum + levelChecksum(side, price, quantity)) >>> 0;
    } else {
      levels.delete(price);
    }
  }

  /** Keeps the best N of each side. The gateway names what leaves; this holds the window where one enters first. */
  private trim(): void {
    if (this.levels === "full") return;
    for (const side of ["B", "S"] as const) {
      const held = side === "B" ? this.bids : this.asks;
      if (held.size <= this.levels) continue;
      for (const [price] of this.side(side).slice(this.levels)) this.set(side, price, 0n);
    }
  }
}

export interface LadderRow {
  price: Units;
  quantity: Units;
  /** Quantity from the best level down to this one. */
  sum: Units;
  /** `sum` as a part of the larger side's total, 0 to 1, for the bar. */
  share: number;
}

/** The best `count` levels of both sides with running sums and bars on one scale. */
export function ladder(book: DepthBook, count: number): { bids: LadderRow[]; asks: LadderRow[] } {
  const rows = (levels: Level[]) => {
    let sum = 0n;
    return levels.slice(0, count).map(([price, quantity]) => {
      sum += quantity;
      return { price, quantity, sum, share: 0 };
    });
  };
  const bids = rows(book.side("B"));
  const asks = rows(book.side("S"));
  const most = [bids.at(-1)?.sum ?? 0n, asks.at(-1)?.sum ?? 0n].reduce((a, b) => (a > b ? a : b));
  if (most > 0n) for (const row of [...bids, ...asks]) row.share = Number((row.sum * 1000n) / most) / 1000;
  return { bids, asks };
}
