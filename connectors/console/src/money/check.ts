/**
 * The order form's judgement before anything is sent: the same rungs as `processors/domain/src/risk/terms.rs`, each with
 * a sentence, and what the order will cost. The exchange decides in the end; this spares the person a refusal.
 */
import type { Instrument, OrderType, Side, TimeInForce } from "../api/types";
import { collar, fee, notional, reservation, worstPrice } from "./funds";
import { MAX_UNITS, parseAmount, placesOf, show, type Units } from "./units";

/** What stands in the form, as typed. */
export interface Draft {
  side: Side;
  type: OrderType;
  quantity: string;
  price: string;
  stop_price: string;
  time_in_force: TimeInForce;
  /** Local time as `datetime-local` gives it; used with gtd alone. */
  expires_at: string;
  post_only: boolean;
  display_quantity: string;
}

export type Field = "quantity" | "price" | "stop_price" | "expires_at" | "display_quantity" | "funds" | "instrument";

export interface Cost {
  /** Notional at the worst price, in the quote asset. */
  notional: Units;
  /** The least and the most fee: as maker and as taker. */
  maker_fee: Units;
  taker_fee: Units;
  reserved: Units;
  reserved_asset: string;
  /** The price that the figures are computed at. */
  worst: Units;
}

/** The draft's amounts, read. */
export interface Amounts {
  quantity: Units;
  price: Units | null;
  stop_price: Units | null;
  display_quantity: Units | null;
  expires_at_ms: number | null;
}

export interface Checked {
  problems: Partial<Record<Field, string>>;
  /** Null while quantity or price can't be read. */
  cost: Cost | null;
  /** Null while anything is wrong. */
  amounts: Amounts | null;
}

export const hasLimit = (type: OrderType) => type === "limit" || type === "stop_limit";
export const hasStop = (type: OrderType) => type === "stop" || type === "stop_limit";
export const canRest = (type: OrderType, time_in_force: TimeInForce) =>
  type === "limit" && time_in_force !== "ioc" && time_in_force !== "fok";

/** The times in force that the type allows; the first is the default. */
export function timesInForce(type: OrderType): TimeInForce[] {
  if (type === "market") return ["ioc", "fok"];
  return type === "limit" ? ["gtc", "day", "gtd", "ioc", "fok"] : ["gtc", "day", "gtd"];
}

/** What is wrong with a price, or null. */
export function priceProblem(price: Units, name: string, instrument: Instrument): string | null {
  const places = placesOf(instrument.tick_size);
  if (price <= 0n || price > MAX_UNITS) return `${name} must be above 0 and below 10,000,000,000.`;
  if (instrument.tick_size > 0n && price % instrument.tick_size !== 0n) {
    const below = price - (price % instrument.tick_size);
    const near = [below, below + instrument.tick_size].filter((step) => step > 0n).map((step) => show(step, places));
    return `${name} must be a multiple of the tick size ${show(instrument.tick_size)}: ${near.join(" or ")}.`;
  }
  const { low, high } = collar(instrument);
  if (price < low || price > high) {
    return `${name} must lie between ${show(low, places)} and ${show(high, places)}.`;
  }
  return null;
}

/** What is wrong with a quantity, or null. */
export function quantityProblem(quantity: Units, instrument: Instrument): string | null {
  const { lot_size, min_quantity, max_quantity, base_asset } = instrument;
  if (quantity <= 0n || quantity > MAX_UNITS) return "Quantity must be above 0 and below 10,000,000,000.";
  if (lot_size > 0n && quantity % lot_size !== 0n) {
    const below = quantity - (quantity % lot_size);
    const near = [below, below + lot_size].filter((step) => step > 0n).map((step) => show(step));
    return `Quantity must be a multiple of the lot size ${show(lot_size)}: ${near.join(" or ")}.`;
  }
  if (quantity < min_quantity) return `Quantity must be at least ${show(min_quantity)} ${base_asset}.`;
  if (quantity > max_quantity) return `Quantity must be at most ${show(max_quantity)} ${base_asset}.`;
  return null;
}

function notionalProblem(value: Units, instrument: Instrument): string | null {
  const { min_notional, max_notional, quote_asset } = instrument;
  if (value < min_notional) {
    return `The order is worth ${show(value)} ${quote_asset}; the smallest is ${show(min_notional)}.`;
  }
  if (value > max_notional) {
    return `The order is worth ${show(value)} ${quote_asset}; the largest is ${show(max_notional)}.`;
  }
  return null;
}

function displayProblem(display: Units, quantity: Units, lot_size: Units): string | null {
  if (display <= 0n || display > quantity) return "Displayed quantity must be above 0 and at most the quantity.";
  if (lot_size > 0n && display % lot_size !== 0n) {
    return `Displayed quantity must be a multiple of the lot size ${show(lot_size)}.`;
  }
  return null;
}

/** Judges the draft. `available` is what the account has of the asset that would be reserved; null where unknown. */
export function checkOrder(
  draft: Draft,
  instrument: Instrument,
  available: (asset: string) => Units | null,
  now_ms: number,
): Checked {
  const problems: Checked["problems"] = {};
  const read = (field: Field, text: string, name: string): Units | null => {
    const parsed = parseAmount(text, name);
    if (parsed.ok) return parsed.value;
    problems[field] = parsed.sentence;
    return null;
  };
  const note = (field: Field, sentence: string | null) => {
    if (sentence && !problems[field]) problems[field] = sentence;
  };

  if (instrument.status !== "open") {
    note("instrument", `${instrument.symbol} is ${instrument.status}: it takes only cancels now.`);
  }
  const quantity = read("quantity", draft.quantity, "Quantity");
  if (quantity !== null) note("quantity", quantityProblem(quantity, instrument));
  const price = hasLimit(draft.type) ? read("price", draft.price, "Price") : null;
  if (price !== null) note("price", priceProblem(price, "Price", instrument));
  const stop_price = hasStop(draft.type) ? read("stop_price", draft.stop_price, "Stop price") : null;
  if (stop_price !== null) note("stop_price", priceProblem(stop_price, "Stop price", instrument));

  let display_quantity: Units | null = null;
  if (draft.display_quantity.trim() && canRest(draft.type, draft.time_in_force)) {
    display_quantity = read("display_quantity", draft.display_quantity, "Displayed quantity");
    if (display_quantity !== null && quantity !== null) {
      note("display_quantity", displayProblem(display_quantity, quantity, instrument.lot_size));
    }
  }
  let expires_at_ms: number | null = null;
  if (draft.time_in_force === "gtd") {
    expires_at_ms = Date.parse(draft.expires_at);
    if (Number.isNaN(expires_at_ms)) note("expires_at", "Say until when the order should live.");
    else if (expires_at_ms <= now_ms) note("expires_at", "That time has passed.");
  }

  let cost: Cost | null = null;
  if (quantity !== null && (price !== null || !hasLimit(draft.type))) {
    cost = costOf(draft.side, draft.type, price, quantity, instrument);
    if (!problems.quantity && !problems.price) note("quantity", notionalProblem(cost.notional, instrument));
    const has = available(cost.reserved_asset);
    if (has !== null && cost.reserved > has) {
      note("funds", `This needs ${show(cost.reserved)} ${cost.reserved_asset}; you have ${show(has)} available.`);
    }
  }
  // Funds only warn: what this page knows of them may be older than what the exchange knows.
  const good = Object.keys(problems).every((field) => field === "funds") && quantity !== null;
  return { problems, cost, amounts: good ? { quantity, price, stop_price, display_quantity, expires_at_ms } : null };
}

function costOf(side: Side, type: OrderType, price: Units | null, quantity: Units, instrument: Instrument): Cost {
  const worst = worstPrice(side, type, price, instrument);
  const value = notional(worst, quantity);
  return {
    notional: value,
    maker_fee: fee(value, instrument.maker_fee_ppm),
    taker_fee: fee(value, instrument.taker_fee_ppm),
    reserved: reservation(side, worst, quantity, instrument.taker_fee_ppm),
    reserved_asset: side === "buy" ? instrument.quote_asset : instrument.base_asset,
    worst,
  };
}
