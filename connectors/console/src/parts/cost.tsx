/** What the order in the form will cost: notional, fee, what is reserved; for market orders an estimate from the book. */
import type { Instrument } from "../api/types";
import { available } from "../live/account";
import { book } from "../live/market";
import { canRest, hasLimit, type Checked } from "../money/check";
import { fee, sweep, worstPrice } from "../money/funds";
import { parseAmount, show } from "../money/units";
import type { FormState } from "./form-state";

interface CostProps {
  draft: FormState;
  checked: Checked;
  instrument: Instrument;
  loggedIn: boolean;
}

export function CostTable({ draft, checked, instrument, loggedIn }: CostProps) {
  const { cost } = checked;
  const quote = instrument.quote_asset;
  const asset = draft.side === "buy" ? quote : instrument.base_asset;
  const has = loggedIn ? available(asset) : null;
  const bounded = !hasLimit(draft.type);
  const feeRange =
    cost && (cost.maker_fee === cost.taker_fee || !canRest(draft.type, draft.time_in_force))
      ? show(cost.taker_fee)
      : cost && `${show(cost.maker_fee)} to ${show(cost.taker_fee)}`;
  return (
    <dl class="cost num" data-testid="cost">
      {draft.type === "market" ? <Estimate draft={draft} instrument={instrument} /> : null}
      <Line name={bounded ? "Notional at most" : "Notional"} value={cost && show(cost.notional)} unit={quote} />
      <Line
        name={`Fee (${ppm(instrument.maker_fee_ppm)} maker, ${ppm(instrument.taker_fee_ppm)} taker)`}
        value={feeRange}
        unit={quote}
      />
      <Line name="Reserved meanwhile" value={cost && show(cost.reserved)} unit={asset} testid="cost-reserved" />
      <Line name="Available" value={has === null ? null : show(has)} unit={asset} testid="cost-available" />
    </dl>
  );
}

/** Parts per million as percent. */
const ppm = (rate: number) => `${rate / 10_000} %`;

/** What a market order would do in the book as it is now. */
function Estimate({ draft, instrument }: { draft: FormState; instrument: Instrument }) {
  const quantity = parseAmount(draft.quantity, "Quantity");
  const now = book.value;
  if (!quantity.ok || !now) return <Line name="About, in the book now" value={null} unit={instrument.quote_asset} />;
  const levels = (draft.side === "buy" ? now.asks : now.bids).map((row) => [row.price, row.quantity] as const);
  const worst = worstPrice(draft.side, draft.type, null, instrument);
  const swept = sweep(draft.side, levels, quantity.value, worst);
  const withFee = fee(swept.notional, instrument.taker_fee_ppm);
  const total = draft.side === "buy" ? swept.notional + withFee : swept.notional - withFee;
  const name = draft.side === "buy" ? "You pay about" : "You get about";
  const short = swept.filled < quantity.value;
  return (
    <>
      <Line name={name} value={show(total)} unit={instrument.quote_asset} />
      {short ? (
        <p class="hint">The book holds {show(swept.filled)} of it at allowed prices; the rest would be cancelled.</p>
      ) : null}
    </>
  );
}

function Line({ name, value, unit, testid }: { name: string; value: string | null; unit: string; testid?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd data-testid={testid}>{value === null ? "–" : `${value} ${unit}`}</dd>
    </div>
  );
}
