/** The chosen instrument's line: last price, change, best prices, the day's range. */
import type { ComponentChildren } from "preact";
import type { Instrument } from "../api/types";
import { change24h } from "../live/change";
import { ticker } from "../live/market";
import { placesOf, show, units } from "../money/units";

export function TickerLine({ instrument }: { instrument: Instrument }) {
  const now = ticker.value;
  const places = placesOf(instrument.tick_size);
  const price = (text: string | null | undefined) => (text ? show(units(text), places) : "–");
  const change = now ? change24h(now) : null;
  return (
    <section class="ticker-line" aria-label={`${instrument.symbol} today`}>
      <h1>
        {instrument.symbol}
        {instrument.status === "open" ? null : (
          <span class="tag warn" data-testid="instrument-status">
            {instrument.status}
          </span>
        )}
      </h1>
      <span class={`last num ${change?.tone ?? ""}`} data-testid="last-price">
        {price(now?.last)}
      </span>
      <dl>
        <Part name="24 h">
          <span class={`change ${change?.tone ?? ""}`}>{change?.text ?? "–"}</span>
        </Part>
        <Part name="Bid">{price(now?.bid)}</Part>
        <Part name="Ask">{price(now?.ask)}</Part>
        <Part name="High">{price(now?.high_24h)}</Part>
        <Part name="Low">{price(now?.low_24h)}</Part>
        <Part name={`Volume ${instrument.base_asset}`}>{now ? show(units(now.volume_24h)) : "–"}</Part>
        <Part name="Trades">{now ? now.trades_24h.toLocaleString("en") : "–"}</Part>
      </dl>
    </section>
  );
}

function Part({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="num">{children}</dd>
    </div>
  );
}
