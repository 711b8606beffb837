/**
 * Sentences for the codes with which Tapeline refuses or ends things: docs/publishing.md "Reject reasons", cancel
 * reasons and refuse reasons. `reasons.test.ts` holds that each symbol of the Avro schemas has one.
 */

/** Why a command was rejected (`RejectReason` in orders.rejected.avsc), lower case as the gateway sends them. */
export const REJECT_SENTENCES: Record<string, string> = {
  duplicate_client_order_id: "This command was sent before. It was not carried out a second time.",
  wrong_partition: "The gateway filed the command in the wrong place, so nothing happened. Please tell operations.",
  malformed: "The command's name was not readable. Nothing happened; send it again.",
  unknown_instrument: "This instrument is not listed.",
  instrument_not_open: "This instrument is halted or closed: it takes only cancels now.",
  unknown_account: "Your account is not known to the exchange yet. Wait a moment and try again.",
  account_not_active: "Your account is suspended or closed: you can only cancel.",
  unknown_order: "You have no such open order: it has ended already.",
  invalid_side: "Choose whether to buy or to sell.",
  invalid_order_type: "The order's type and its prices do not go together.",
  invalid_time_in_force: "How long the order should live does not fit its type, or that time has passed.",
  invalid_terms: "The order's terms do not go together, for example post-only on an order that cannot rest.",
  invalid_price: "The price must be above 0 and below 10,000,000,000.",
  invalid_tick: "The price is not a multiple of the instrument's tick size.",
  invalid_quantity: "The quantity must be above 0 and below 10,000,000,000.",
  invalid_lot: "The quantity is not a multiple of the instrument's lot size.",
  quantity_too_small: "The quantity is below the smallest that this instrument takes.",
  quantity_too_large: "The quantity is above the largest that this instrument takes.",
  notional_too_small: "The order is worth less than this instrument takes.",
  notional_too_large: "The order is worth more than this instrument takes.",
  outside_collar: "The price is too far from the instrument's reference price.",
  too_many_open_orders: "You have as many open orders as your account may have. Cancel one first.",
  insufficient_funds: "You do not have enough available for this.",
  invalid_amount: "The amount is out of range, or your balance would become too large.",
};

/** Why the book ended an order (`CancelReason` in trades.executed.avsc). */
export const CANCEL_SENTENCES: Record<string, string> = {
  requested: "You asked for it.",
  cancel_all: "You cancelled all orders of this instrument.",
  immediate_or_cancel: "What could not trade at once was cancelled.",
  fill_or_kill: "It could not be filled in full at once, so none of it was.",
  no_liquidity: "There was nothing (more) to trade with at an allowed price.",
  post_only: "It would have traded at once, and you asked for post-only.",
  self_trade: "It met another order of your own.",
  amended_to_filled: "Its new quantity had been filled already.",
};

/** Why the book refused an accepted amend or cancel (`RefuseReason` in trades.executed.avsc). */
export const REFUSE_SENTENCES: Record<string, string> = {
  not_open: "It came too late: the order had ended.",
  reservation_too_small: "A fill came in between, and the funds set aside did not cover the new terms.",
  not_amendable: "This order cannot take that price.",
  nothing_to_cancel: "There was no order to cancel.",
};

/** The sentence for any reason code; null where there is no code. Codes newer than this console are shown as words. */
export function reasonSentence(code: string | null | undefined): string | null {
  if (!code) return null;
  const key = code.toLowerCase();
  const known = REJECT_SENTENCES[key] ?? CANCEL_SENTENCES[key] ?? REFUSE_SENTENCES[key];
  return known ?? `The exchange gave the reason "${key.replaceAll("_", " ")}".`;
}

/** Sentence and the exchange's own text, which names the figures, in one line. */
export function fullReason(code: string | null | undefined, text: string | null | undefined): string {
  const sentence = reasonSentence(code);
  if (sentence && text) return `${sentence} ${text}`;
  return sentence ?? text ?? "No reason was given.";
}
