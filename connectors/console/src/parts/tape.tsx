/** Latest trades, newest first. */
import type { Instrument } from "../api/types";
import { trades } from "../live/market";
import { placesOf, show, units } from "../money/units";
import { Empty, Skeleton, timeText } from "./common";

export function Tape({ instrument }: { instrument: Instrument }) {
  const now = trades.value;
  if (!now) return <Skeleton rows={8} label="Loading trades" />;
  if (now.length === 0) return <Empty title="No trades yet">The first one will show here.</Empty>;
  const [price, quantity] = [placesOf(instrument.tick_size), placesOf(instrument.lot_size)];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Latest trades">
      <table class="tape num">
        <thead>
          <tr>
            <th>Price {instrument.quote_asset}</th>
            <th>Quantity</th>
            <th>Time</th>
          </tr>
        </thead>
        <tbody>
          {now.map((trade) => (
            <tr key={trade.trade_id}>
              <td class={trade.taker_side === "buy" ? "up" : "down"}>
                <span role="img" aria-label={trade.taker_side === "buy" ? "bought" : "sold"}>
                  {trade.taker_side === "buy" ? "▲" : "▼"}
                </span>{" "}
                {show(units(trade.price), price)}
              </td>
              <td>{show(units(trade.quantity), quantity)}</td>
              <td class="dim">{timeText(trade.traded_ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
