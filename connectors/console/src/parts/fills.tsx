/** The account's latest fills. */
import { account } from "../live/account";
import { show, units } from "../money/units";
import { session } from "../session";
import { Empty, SideMark, Time } from "./common";
import { LogInFirst } from "./orders";

export function Fills() {
  if (session.value.phase !== "in") return <LogInFirst what="your fills" />;
  const { fills } = account.value;
  if (fills.length === 0) return <Empty title="No fills yet">Each trade of yours will be here with its fee.</Empty>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Fills">
      <table class="cards" data-testid="fills">
        <thead>
          <tr>
            <th>Side</th>
            <th>Instrument</th>
            <th class="r">Price</th>
            <th class="r">Quantity</th>
            <th class="r">Notional</th>
            <th class="r">Fee</th>
            <th>Role</th>
            <th class="r">Time</th>
          </tr>
        </thead>
        <tbody>
          {fills.map((fill) => (
            <tr
              key={`${fill.trade_id}/${fill.order_id}`}
              data-testid="fill-row"
              data-client-order-id={fill.client_order_id}
            >
              <td>
                <SideMark side={fill.side} />
              </td>
              <td data-label="Instrument">{fill.instrument}</td>
              <td class="num r" data-label="Price">
                {show(units(fill.price))}
              </td>
              <td class="num r" data-label="Quantity">
                {show(units(fill.quantity))}
              </td>
              <td class="num r" data-label="Notional">
                {show(units(fill.notional))}
              </td>
              <td class="num r" data-label="Fee">
                {show(units(fill.fee))} {fill.fee_asset}
              </td>
              <td data-label="Role">{fill.liquidity}</td>
              <td class="num r dim" data-label="Time">
                <Time at_ms={fill.traded_ms} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
