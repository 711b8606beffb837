/** Balances, and the demo's deposit form. */
import { useSignal } from "@preact/signals";
import { account, deposit } from "../live/account";
import { instruments } from "../live/market";
import { parseAmount, show, units, wire } from "../money/units";
import { session } from "../session";
import { Empty, Field, Skeleton } from "./common";
import { LogInFirst } from "./orders";

export function Balances() {
  const { balances, loaded } = account.value;
  if (session.value.phase !== "in") return <LogInFirst what="your balances" />;
  if (!loaded) return <Skeleton rows={3} label="Loading balances" />;
  const held = [...balances.values()].sort((a, b) => a.asset.localeCompare(b.asset));
  if (held.length === 0) return <Empty title="No funds yet">Make a deposit to start trading.</Empty>;
  return (
    <table class="balances" data-testid="balances">
      <thead>
        <tr>
          <th>Asset</th>
          <th class="r">Available</th>
          <th class="r">Reserved</th>
        </tr>
      </thead>
      <tbody>
        {held.map(({ asset, available, reserved }) => (
          <tr key={asset} data-testid="balance-row" data-asset={asset}>
            <td>{asset}</td>
            <td class="num r" data-testid="balance-available">
              {show(units(available))}
            </td>
            <td class="num r dim" data-testid="balance-reserved">
              {show(units(reserved))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Assets that instruments name, those of the chosen one first. */
export function knownAssets(first: readonly string[]): string[] {
  const all = new Set(first);
  for (const asset of account.value.balances.keys()) all.add(asset);
  for (const instrument of instruments.value?.values() ?? [])
    all.add(instrument.quote_asset).add(instrument.base_asset);
  return [...all];
}

export function Deposit({ assets }: { assets: readonly string[] }) {
  const asset = useSignal<string | null>(null);
  const amount = useSignal("");
  const sentence = useSignal<string | null>(null);
  const sending = useSignal(false);
  if (session.value.phase !== "in") return null;
  const options = knownAssets(assets);
  const chosen = asset.value ?? options[0] ?? "";
  const submit = async (event: Event) => {
    event.preventDefault();
    const parsed = parseAmount(amount.value, "Amount");
    const wrong = parsed.ok ? (parsed.value > 0n ? null : "The amount must be above 0.") : parsed.sentence;
    sentence.value = wrong;
    if (wrong || !parsed.ok) return;
    sending.value = true;
    if (await deposit(chosen, wire(parsed.value))) amount.value = "";
    sending.value = false;
  };
  return (
    <form class="deposit" onSubmit={submit} noValidate aria-label="Deposit" data-testid="deposit-form">
      <Field label="Asset">
        {(ids) => (
          <select
            {...ids}
            value={chosen}
            onChange={(event) => (asset.value = event.currentTarget.value)}
            data-testid="deposit-asset"
          >
            {options.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Amount" problem={sentence.value}>
        {(ids) => (
          <input
            {...ids}
            class="num"
            inputMode="decimal"
            autoComplete="off"
            value={amount.value}
            onInput={(event) => (amount.value = event.currentTarget.value)}
            data-testid="deposit-amount"
          />
        )}
      </Field>
      <button type="submit" disabled={sending.value} data-testid="deposit-send">
        {sending.value ? "Sending…" : "Deposit"}
      </button>
    </form>
  );
}
