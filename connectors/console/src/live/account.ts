/**
 * The account on screen: feeds the reducer (`orders.ts`) with the account channel and with what the person does, and
 * sends commands by REST. A command's id is made here, so that a lost answer can be looked up.
 */
import { signal } from "@preact/signals";
import { isInDoubt, ProblemError, sentenceOf } from "../api/problems";
import type { PlaceOrder, PrivateMessage, ServerMessage } from "../api/types";
import { show, units, type Units } from "../money/units";
import { notify } from "../notices";
import { client, onToken } from "../session";
import { socket } from "./link";
import { EMPTY, hasEnded, reduce, type AccountState, type Change, type Event } from "./orders";

export const account = signal<AccountState>(EMPTY);

/** How often, and for how long in between, an order is looked up whose answer was lost. */
const LOOK_UPS = 5;
const LOOK_UP_EACH_MS = 2_000;

const FILLS_AT_START = 100;
let leave: (() => void) | null = null;

function take(event: Event): void {
  const step = reduce(account.peek(), event);
  account.value = step.state;
  step.notices.forEach(notify);
  for (const id of step.look_up) void lookUp(id, 0);
}

/** Follows the session: in with the first token, out and forgotten with its end. */
export function start(): void {
  onToken((token) => {
    if (token === null) {
      leave?.();
      leave = null;
      account.value = EMPTY;
    } else if (!leave) {
      leave = socket.subscribe(
        { channel: "account" },
        {
          message: (message: ServerMessage) => {
            take({ kind: "message", message: message as PrivateMessage });
            // A snapshot brings no fills; those that came while nobody listened are asked for.
            if (message.type === "account") void loadFills();
          },
          resume: () => {
            const { position } = account.peek();
            return position === null ? {} : { after: position };
          },
          refused: (problem) => notify({ tone: "bad", text: problem.detail ?? "The account channel was refused." }),
        },
      );
    }
  });
}

async function loadFills(): Promise<void> {
  try {
    take({ kind: "fills", fills: await client.fills({ limit: FILLS_AT_START }) });
  } catch (error) {
    notify({ tone: "bad", text: `Earlier fills are not shown. ${sentenceOf(error)}` });
  }
}

export const newId = (): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
};

export function available(asset: string): Units | null {
  const { balances, loaded } = account.value;
  const balance = balances.get(asset);
  if (balance) return units(balance.available);
  return loaded ? 0n : null;
}

/** Sends the order. It shows as pending before the answer; a refusal rolls it back. */
export async function place(order: PlaceOrder): Promise<void> {
  const { client_order_id } = order;
  take({ kind: "sent", order });
  try {
    const placed = await client.place(order);
    take({ kind: "acked", client_order_id, order_id: placed.order_id });
  } catch (error) {
    if (isInDoubt(error)) {
      take({ kind: "unanswered", client_order_id });
      void lookUp(client_order_id, LOOK_UPS);
    } else {
      take({ kind: "failed", client_order_id, sentence: sentenceOf(error) });
    }
  }
}

/** Asks what became of an order, some more times where the gateway does not know it or does not answer. */
async function lookUp(client_order_id: string, tries: number): Promise<void> {
  try {
    take({ kind: "order", order: await client.order(client_order_id) });
  } catch (error) {
    const held = account.peek().orders.get(client_order_id);
    const unknown = error instanceof ProblemError && error.problem.status === 404;
    if (!held || hasEnded(held) || (unknown && held.knowledge === "known")) return;
    if (tries > 0 || !unknown) {
      // Only a clear "unknown" uses up a try: the view may be a moment behind the order, an outage much longer.
      setTimeout(() => void lookUp(client_order_id, unknown ? tries - 1 : tries), LOOK_UP_EACH_MS);
    } else {
      const sentence = "The connection broke while it was sent, and the exchange has no such order.";
      take({ kind: "failed", client_order_id, sentence });
    }
  }
}

export async function amend(target: string, terms: { quantity?: string; price?: string }): Promise<void> {
  const request_id = newId();
  const change: Change = { kind: "amend", request_id, ...terms };
  await ask(request_id, { kind: "amend", target, label: "The amend" }, change, () =>
    client.amend(target, { client_order_id: request_id, ...terms }),
  );
}

export async function cancel(target: string): Promise<void> {
  const request_id = newId();
  await ask(request_id, { kind: "cancel", target, label: "The cancel" }, { kind: "cancel", request_id }, () =>
    client.cancel(target, request_id),
  );
}

export async function cancelAll(instrument: string): Promise<void> {
  const request_id = newId();
  const label = `The cancel of all orders in ${instrument}`;
  await ask(request_id, { kind: "cancel_all", target: instrument, label }, undefined, () =>
    client.cancelAll(instrument, request_id),
  );
}

/** True once the gateway has taken the command; it is done when a notice says so. */
export function deposit(asset: string, amount: string): Promise<boolean> {
  const request_id = newId();
  const label = `The deposit of ${show(units(amount))} ${asset}`;
  return ask(request_id, { kind: "deposit", target: asset, label }, undefined, () =>
    client.deposit({ asset, amount, client_order_id: request_id }),
  );
}

/** Throws where a second factor is needed (`second_factor_needed`), so that the page can ask for it. */
export async function withdraw(asset: string, amount: string): Promise<void> {
  const request_id = newId();
  const label = `The withdrawal of ${show(units(amount))} ${asset}`;
  take({ kind: "asked", request_id, request: { kind: "withdrawal", target: asset, label } });
  try {
    await client.withdraw({ asset, amount, client_order_id: request_id });
  } catch (error) {
    const factor = error instanceof ProblemError && error.problem.code === "second_factor_needed";
    take({ kind: "ask_failed", request_id, sentence: factor ? null : sentenceOf(error), in_doubt: isInDoubt(error) });
    throw error;
  }
}

async function ask(
  request_id: string,
  request: Extract<Event, { kind: "asked" }>["request"],
  change: Change | undefined,
  send: () => Promise<unknown>,
): Promise<boolean> {
  take({ kind: "asked", request_id, request, change });
  try {
    await send();
    return true;
  } catch (error) {
    take({ kind: "ask_failed", request_id, sentence: sentenceOf(error), in_doubt: isInDoubt(error) });
    return false;
  }
}

export const dismissOrder = (client_order_id: string) => take({ kind: "dismissed", client_order_id });
