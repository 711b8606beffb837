/**
 * What an order costs: notional, fee, reservation, collar. The rules are those of `processors/domain/src/money.rs` and
 * `risk/terms.rs`; docs/publishing.md "Funds" and "Fees" states them: what is reserved is rounded up, what is paid down.
 */
import type { Instrument, OrderType, Side } from "../api/types";
import { MAX_UNITS, ONE, type Units } from "./units";

const PPM = 1_000_000n;

/** Price times quantity in the quote asset, rounded down. */
export function notional(price: Units, quantity: Units): Units {
  return (price * quantity) / ONE;
}

/** The fee on a notional at `rate_ppm` parts per million, rounded down. */
export function fee(value: Units, rate_ppm: number): Units {
  return (value * BigInt(rate_ppm)) / PPM;
}

/** What is reserved: the quantity of a sale; for a purchase the notional at the worst price and the taker fee, each rounded up. */
export function reservation(side: Side, worst: Units, quantity: Units, taker_fee_ppm: number): Units {
  if (side === "sell") return quantity;
  const cost = (worst * quantity + ONE - 1n) / ONE;
  return cost + (cost * BigInt(taker_fee_ppm) + PPM - 1n) / PPM;
}

/** Lowest and highest price that the instrument's collar allows. */
export function collar(instrument: Instrument): { low: Units; high: Units } {
  const width = (instrument.reference_price * BigInt(instrument.collar_ppm)) / PPM;
  const clamp = (price: Units) => (price < 0n ? 0n : price > MAX_UNITS ? MAX_UNITS : price);
  return { low: clamp(instrument.reference_price - width), high: clamp(instrument.reference_price + width) };
}

/** The worst price at which the order can trade: its limit, or the last tick inside the collar. */
export function worstPrice(side: Side, type: OrderType, limit: Units | null, instrument: Instrument): Units {
  if ((type === "limit" || type === "stop_limit") && limit !== null) return limit;
  const { low, high } = collar(instrument);
  const tick = instrument.tick_size > 0n ? instrument.tick_size : 1n;
  const price = side === "buy" ? high - (high % tick) : ((low + tick - 1n) / tick) * tick;
  return price > tick ? price : tick;
}

export interface Sweep {
  /** What the levels can fill of the quantity. */
  filled: Units;
  /** Notional over the levels taken, each rounded down as its trade would be. */
  notional: Units;
  /** The last price that is touched; null where there is nothing to take. */
  last: Units | null;
}

/** Walks the other side of the book, best first, for `quantity` no worse than `worst`. */
export function sweep(side: Side, levels: readonly (readonly [Units, Units])[], quantity: Units, worst: Units): Sweep {
  const result: Sweep = { filled: 0n, notional: 0n, last: null };
  for (const [price, available] of levels) {
    const tooBad = side === "buy" ? price > worst : price < worst;
    if (tooBad || result.filled >= quantity) break;
    const left = quantity - result.filled;
    const taken = available < left ? available : left;
    result.filled += taken;
    result.notional += notional(price, taken);
    result.last = price;
  }
  return result;
}

/** The largest quantity in whole lots whose reservation `available` covers; what the instrument allows at most. */
export function affordable(side: Side, worst: Units, available: Units, instrument: Instrument): Units {
  const { lot_size, max_quantity, taker_fee_ppm } = instrument;
  const lot = lot_size > 0n ? lot_size : 1n;
  const floor = (quantity: Units) => (quantity > max_quantity ? max_quantity : quantity) / lot;
  if (available <= 0n || worst <= 0n) return 0n;
  if (side === "sell") return floor(available) * lot;
  let lots = floor((available * ONE * PPM) / (worst * (PPM + BigInt(taker_fee_ppm))));
  // Rounding up may take one lot too many.
  while (lots > 0n && reservation(side, worst, lots * lot, taker_fee_ppm) > available) lots -= 1n;
  return lots * lot;
}
