/** The order form. It shows what an order costs before it is sent, and says what is wrong with it field by field. */
import { signal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useEffect } from "preact/hooks";
import type { Instrument, OrderType, PlaceOrder, SelfTradePrevention, TimeInForce } from "../api/types";
import { available, newId, place } from "../live/account";
import { book } from "../live/market";
import { canRest, checkOrder, hasLimit, hasStop, timesInForce, type Checked, type Field as Name } from "../money/check";
import { affordable, worstPrice } from "../money/funds";
import { parseAmount, placesOf, show, wire, type Units } from "../money/units";
import { session } from "../session";
import { Field, Link } from "./common";
import { CostTable } from "./cost";
import { form, set, type FormState } from "./form-state";

const TYPES: [OrderType, string][] = [
  ["limit", "Limit"],
  ["market", "Market"],
  ["stop", "Stop"],
  ["stop_limit", "Stop limit"],
];
const TIMES: Record<TimeInForce, string> = {
  gtc: "Until cancelled (GTC)",
  day: "Until the session's close (DAY)",
  gtd: "Until a time (GTD)",
  ioc: "At once, rest cancelled (IOC)",
  fok: "All at once or nothing (FOK)",
};
const SELF_TRADE: Record<SelfTradePrevention, string> = {
  cancel_newest: "Cancel the new order",
  cancel_oldest: "Cancel the resting order",
  cancel_both: "Cancel both",
  decrement_and_cancel: "Reduce both by the smaller",
};

/** Fields that the person has left, whose problems are shown. */
const touched = signal<ReadonlySet<Name | "all">>(new Set());
const touch = (name: Name | "all") => {
  touched.value = new Set(touched.peek()).add(name);
};

function commandOf(draft: FormState, amounts: NonNullable<Checked["amounts"]>, instrument: string): PlaceOrder {
  const { side, type, time_in_force } = draft;
  const rests = canRest(type, time_in_force);
  return {
    client_order_id: newId(),
    instrument,
    side,
    type,
    time_in_force,
    quantity: wire(amounts.quantity),
    ...(amounts.price === null ? {} : { price: wire(amounts.price) }),
    ...(amounts.stop_price === null ? {} : { stop_price: wire(amounts.stop_price) }),
    ...(amounts.expires_at_ms === null ? {} : { expires_at_ms: amounts.expires_at_ms }),
    ...(rests && draft.post_only ? { post_only: true } : {}),
    ...(amounts.display_quantity === null ? {} : { display_quantity: wire(amounts.display_quantity) }),
    ...(draft.self_trade_prevention === "cancel_newest" ? {} : { self_trade_prevention: draft.self_trade_prevention }),
  };
}

/** What is wrong with a field, as far as it is to be shown yet. */
type ProblemOf = (name: Name) => string | null;
interface PartProps {
  draft: FormState;
  instrument: Instrument;
  problem: ProblemOf;
}

export function OrderForm({ instrument }: { instrument: Instrument }) {
  const draft = form.value;
  const loggedIn = session.value.phase === "in";
  const checked = checkOrder(draft, instrument, loggedIn ? available : () => null, Date.now());
  const problem: ProblemOf = (name) => {
    const shown = touched.value.has("all") || touched.value.has(name);
    return shown ? (checked.problems[name] ?? null) : null;
  };
  useEffect(() => {
    touched.value = new Set();
    set({ price: "", stop_price: "", quantity: "", display_quantity: "" });
  }, [instrument.symbol]);

  const submit = (event: Event) => {
    event.preventDefault();
    if (!checked.amounts) {
      touch("all");
      requestAnimationFrame(() => document.querySelector<HTMLElement>('.order-form [aria-invalid="true"]')?.focus());
      return;
    }
    touched.value = new Set();
    void place(commandOf(draft, checked.amounts, instrument.symbol));
    set({ quantity: "", display_quantity: "" });
  };
  return (
    <form class="order-form" aria-label="New order" data-testid="order-form" noValidate onSubmit={submit}>
      <SideAndType draft={draft} />
      <Amount
        name="quantity"
        label="Quantity"
        unit={instrument.base_asset}
        step={instrument.lot_size}
        problem={problem("quantity")}
      />
      {loggedIn ? <Shares instrument={instrument} /> : null}
      <Prices draft={draft} instrument={instrument} problem={problem} />
      <Lives draft={draft} problem={problem} />
      <Advanced draft={draft} instrument={instrument} problem={problem} />
      <CostTable draft={draft} checked={checked} instrument={instrument} loggedIn={loggedIn} />
      {checked.problems.instrument || checked.problems.funds ? (
        <p class="problem" role="status" data-testid="funds-problem">
          {checked.problems.instrument ?? checked.problems.funds}
        </p>
      ) : null}
      {loggedIn ? (
        <button type="submit" class={`send ${draft.side}`} data-testid="send-order">
          {draft.side === "buy" ? "▲ Buy" : "▼ Sell"} {instrument.base_asset}
        </button>
      ) : (
        <Link href="/log-in" class="button primary send">
          Log in to trade
        </Link>
      )}
    </form>
  );
}

function SideAndType({ draft }: { draft: FormState }) {
  return (
    <>
      <div role="radiogroup" aria-label="Side" class="segments sides">
        {(["buy", "sell"] as const).map((side) => (
          <label key={side} class={side}>
            <input
              type="radio"
              name="side"
              checked={draft.side === side}
              onChange={() => set({ side })}
              data-testid={`side-${side}`}
            />
            <span>{side === "buy" ? "▲ Buy" : "▼ Sell"}</span>
          </label>
        ))}
      </div>
      <div role="radiogroup" aria-label="Order type" class="segments types">
        {TYPES.map(([type, label]) => (
          <label key={type}>
            <input
              type="radio"
              name="type"
              checked={draft.type === type}
              onChange={() => changeType(type)}
              data-testid={`type-${type}`}
            />
            <span>{label}</span>
          </label>
        ))}
      </div>
    </>
  );
}

function Prices({ draft, instrument, problem }: PartProps) {
  return (
    <>
      {hasStop(draft.type) ? (
        <Amount
          name="stop_price"
          label="Stop price"
          unit={instrument.quote_asset}
          step={instrument.tick_size}
          problem={problem("stop_price")}
          hint={
            draft.side === "buy" ? "Wakes when a trade is at or above it." : "Wakes when a trade is at or below it."
          }
        />
      ) : null}
      {hasLimit(draft.type) ? (
        <Amount
          name="price"
          label="Price"
          unit={instrument.quote_asset}
          step={instrument.tick_size}
          problem={problem("price")}
          placeholder={bestPrice(draft, instrument)}
        />
      ) : null}
    </>
  );
}

function Lives({ draft, problem }: Omit<PartProps, "instrument">) {
  return (
    <>
      <Field label="Lives">
        {(ids) => (
          <select
            {...ids}
            data-testid="time-in-force"
            value={draft.time_in_force}
            onChange={(event) => set({ time_in_force: event.currentTarget.value as TimeInForce })}
          >
            {timesInForce(draft.type).map((name) => (
              <option key={name} value={name}>
                {TIMES[name]}
              </option>
            ))}
          </select>
        )}
      </Field>
      {draft.time_in_force === "gtd" ? (
        <Field label="Until" problem={problem("expires_at")}>
          {(ids) => (
            <input
              {...ids}
              type="datetime-local"
              value={draft.expires_at}
              onInput={(event) => set({ expires_at: event.currentTarget.value })}
              onBlur={() => touch("expires_at")}
            />
          )}
        </Field>
      ) : null}
    </>
  );
}

function Advanced({ draft, instrument, problem }: PartProps) {
  const rests = canRest(draft.type, draft.time_in_force);
  return (
    <details class="advanced" open={problem("display_quantity") ? true : undefined}>
      <summary>Advanced</summary>
      <label class="check">
        <input
          type="checkbox"
          data-testid="post-only"
          checked={draft.post_only && rests}
          disabled={!rests}
          onChange={(event) => set({ post_only: event.currentTarget.checked })}
        />
        Post-only: cancel it rather than take
      </label>
      <Amount
        name="display_quantity"
        label="Displayed quantity"
        unit={instrument.base_asset}
        step={instrument.lot_size}
        problem={problem("display_quantity")}
        disabled={!rests}
        hint={rests ? "Iceberg: at most this much shows at a time." : "Only for limit orders that may rest."}
      />
      <Field label="If it meets your own order">
        {(ids) => (
          <select
            {...ids}
            value={draft.self_trade_prevention}
            onChange={(event) => set({ self_trade_prevention: event.currentTarget.value as SelfTradePrevention })}
          >
            {Object.entries(SELF_TRADE).map(([name, label]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
    </details>
  );
}

function changeType(type: OrderType): void {
  // Back to the type's default: an IOC that a market order brought must not stay on a limit order unseen.
  set({ type, time_in_force: timesInForce(type)[0] ?? "gtc" });
}

/** The price at which the order would trade at once, as a hint. */
function bestPrice(draft: FormState, instrument: Instrument): string {
  const best = draft.side === "buy" ? book.value?.asks[0] : book.value?.bids[0];
  return best ? show(best.price, placesOf(instrument.tick_size)) : "";
}

interface AmountProps {
  name: "quantity" | "price" | "stop_price" | "display_quantity";
  label: string;
  unit: string;
  step: Units;
  problem: string | null;
  hint?: string;
  placeholder?: string;
  disabled?: boolean;
}

function Amount({ name, label, unit, step, problem, hint, placeholder, disabled }: AmountProps) {
  /** Arrow keys move by a tick or lot, to the grid first. */
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    const up = event.key === "ArrowUp";
    if (!up && event.key !== "ArrowDown") return;
    const parsed = parseAmount(event.currentTarget.value || "0", label);
    if (!parsed.ok || step <= 0n) return;
    event.preventDefault();
    const off = parsed.value % step;
    const next = up ? parsed.value - off + step : parsed.value - (off || step);
    if (next > 0n) set({ [name]: wire(next) });
  };
  return (
    <Field label={label} unit={unit} problem={problem} hint={hint} testid={name.replace("_", "-")}>
      {(ids) => (
        <input
          {...ids}
          class="num"
          data-testid={name.replace("_", "-")}
          inputMode="decimal"
          autoComplete="off"
          disabled={disabled}
          placeholder={placeholder}
          value={form.value[name]}
          onInput={(event) => set({ [name]: event.currentTarget.value })}
          onBlur={(event) => event.currentTarget.value && touch(name)}
          onKeyDown={onKeyDown}
        />
      )}
    </Field>
  );
}

/** Quarters of what the account can afford. */
function Shares({ instrument }: { instrument: Instrument }) {
  const draft = form.value;
  const asset = draft.side === "buy" ? instrument.quote_asset : instrument.base_asset;
  const has = available(asset) ?? 0n;
  const limit = parseAmount(draft.price, "Price");
  const priced = !hasLimit(draft.type) || limit.ok || draft.side === "sell";
  const fill = (part: bigint) => {
    const worst = worstPrice(draft.side, draft.type, limit.ok ? limit.value : null, instrument);
    set({ quantity: wire(affordable(draft.side, worst, (has * part) / 4n, instrument)) });
  };
  return (
    <div class="shares" role="group" aria-label="Part of what you can afford">
      {[1n, 2n, 3n, 4n].map((part) => (
        <button key={String(part)} type="button" disabled={has === 0n || !priced} onClick={() => fill(part)}>
          {Number(part) * 25} %
        </button>
      ))}
    </div>
  );
}
