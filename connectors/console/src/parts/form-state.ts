/** What stands in the order form. Ladder, shortcuts and instrument picker write to it. */
import { signal } from "@preact/signals";
import type { SelfTradePrevention, Side } from "../api/types";
import { hasLimit, hasStop, type Draft } from "../money/check";
import { wire, type Units } from "../money/units";

export interface FormState extends Draft {
  self_trade_prevention: SelfTradePrevention;
}

export const BLANK: FormState = {
  side: "buy",
  type: "limit",
  quantity: "",
  price: "",
  stop_price: "",
  time_in_force: "gtc",
  expires_at: "",
  post_only: false,
  display_quantity: "",
  self_trade_prevention: "cancel_newest",
};

export const form = signal<FormState>(BLANK);
/** Which part of the trade page a small screen shows. */
export type View = "chart" | "book" | "tape" | "order" | "orders" | "funds";
export const view = signal<View>("chart");

export function set(change: Partial<FormState>): void {
  form.value = { ...form.peek(), ...change };
}

/** Takes a price from the ladder. Market orders become limit orders: a price was wanted. */
export function takePrice(price: Units): void {
  const { type } = form.peek();
  if (hasLimit(type)) set({ price: wire(price) });
  else if (hasStop(type)) set({ stop_price: wire(price) });
  else set({ type: "limit", time_in_force: "gtc", price: wire(price) });
}

/** Chooses the side and puts the cursor into the quantity. */
export function aim(side: Side): void {
  set({ side });
  view.value = "order";
  requestAnimationFrame(() => {
    const field = document.querySelector<HTMLInputElement>('[data-testid="quantity"]');
    field?.focus();
    field?.select();
  });
}
