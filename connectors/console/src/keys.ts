/** Shortcuts of the whole console. Controls handle their own keys (arrows in ladder, picker and tabs). */
import { signal } from "@preact/signals";
import { dismissAll } from "./notices";
import { aim } from "./parts/form-state";
import { go, route } from "./router";

export const helpOpen = signal(false);

export const SHORTCUTS: readonly [keys: string, what: string][] = [
  ["/", "Search an instrument"],
  ["b", "Buy: go to the order form's quantity"],
  ["s", "Sell: go to the order form's quantity"],
  ["Enter", "Send the order, in the order form"],
  ["↑ ↓", "In the book: choose a level. In price and quantity: one tick, one lot"],
  ["Enter", "In the book: take the level's price into the form"],
  ["Esc", "Close what is open: search, notices, an edit"],
  ["?", "This help"],
];

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Goes to the trade page, where it is not shown, and does `work` when it is. */
function onTradePage(work: () => void): void {
  if (route.peek().page !== "trade") go("/");
  requestAnimationFrame(work);
}

export function start(): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || helpOpen.peek()) return;
    const act: Record<string, () => void> = {
      "/": () => document.getElementById("picker")?.focus(),
      b: () => onTradePage(() => aim("buy")),
      s: () => onTradePage(() => aim("sell")),
      Escape: dismissAll,
      "?": () => (helpOpen.value = true),
    };
    const work = act[event.key];
    if (!work) return;
    event.preventDefault();
    work();
  });
}
