/** The depth ladder. One stop for Tab; arrow keys walk the levels; Enter or a click takes a level's price. */
import { signal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import type { Instrument, Side } from "../api/types";
import { account } from "../live/account";
import type { LadderRow } from "../live/depth";
import { book } from "../live/market";
import { hasEnded } from "../live/orders";
import { placesOf, show, units } from "../money/units";
import { Empty, Skeleton } from "./common";
import { takePrice } from "./form-state";

/** The level that has the focus: below zero asks (-1 is the best), from zero bids. */
const active = signal<number | null>(null);

/** Prices at which the account has open orders. */
function ownPrices(symbol: string, side: Side): Set<bigint> {
  const own = new Set<bigint>();
  for (const order of account.value.orders.values()) {
    if (order.instrument === symbol && order.side === side && !hasEnded(order) && order.price)
      own.add(units(order.price));
  }
  return own;
}

export function Ladder({ instrument }: { instrument: Instrument }) {
  const now = book.value;
  if (!now) return <Skeleton rows={14} label="Loading the book" />;
  if (now.bids.length + now.asks.length === 0) {
    return <Empty title="The book is empty">Place a limit order to make the first price.</Empty>;
  }
  const [price, quantity] = [placesOf(instrument.tick_size), placesOf(instrument.lot_size)];
  const focus = active.value ?? (now.asks.length > 0 ? -1 : 0);
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      const next = Math.max(-now.asks.length, Math.min(now.bids.length - 1, focus + step));
      active.value = next;
      requestAnimationFrame(() => document.getElementById(`level-${next}`)?.focus());
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      const row = focus < 0 ? now.asks[-focus - 1] : now.bids[focus];
      if (row) takePrice(row.price);
    }
  };
  const rows = (levels: LadderRow[], side: Side) => {
    const own = ownPrices(instrument.symbol, side);
    return levels.map((row, index) => {
      const place = side === "sell" ? -index - 1 : index;
      const mine = own.has(row.price);
      const [p, q, s] = [show(row.price, price), show(row.quantity, quantity), show(row.sum, quantity)];
      return (
        <div
          key={p}
          id={`level-${place}`}
          role="option"
          class={`level ${side}`}
          aria-selected={place === focus}
          tabIndex={place === focus ? 0 : -1}
          data-testid={`level-${side}`}
          onClick={() => {
            active.value = place;
            takePrice(row.price);
          }}
        >
          <span class="bar" style={{ width: `${row.share * 100}%` }} />
          <span class="price">
            {mine ? (
              <span class="own">
                <span aria-hidden="true">◆</span>
                <span class="hidden">Your order is at </span>
              </span>
            ) : null}
            {p}
          </span>
          <span>{q}</span>
          <span class="dim">{s}</span>
        </div>
      );
    });
  };
  const [bid, ask] = [now.bids[0], now.asks[0]];
  return (
    <div class="ladder num">
      <div class="ladder-head" aria-hidden="true">
        <span>Price {instrument.quote_asset}</span>
        <span>Quantity</span>
        <span>Sum</span>
      </div>
      <div
        class="ladder-body"
        role="listbox"
        aria-label="Levels of the book: price, quantity, sum"
        onKeyDown={onKeyDown}
      >
        <div class="asks" role="group" aria-label="Asks">
          {rows(now.asks, "sell")}
        </div>
        <div class="spread" role="presentation">
          {bid && ask ? <>Spread {show(ask.price - bid.price, price)}</> : "One side is empty"}
        </div>
        <div class="bids" role="group" aria-label="Bids">
          {rows(now.bids, "buy")}
        </div>
      </div>
    </div>
  );
}
