/** Profile, passkeys, API keys, withdrawals, log-out. */
import { useSignal, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentenceOf } from "../api/problems";
import type { ApiKey, Me, NewApiKey, Scope } from "../api/types";
import { createPasskey, passkeysWork } from "../api/webauthn";
import { available, withdraw } from "../live/account";
import { parseAmount, show, wire } from "../money/units";
import { notify } from "../notices";
import { Empty, Field, Skeleton, Time, dateText } from "../parts/common";
import { Balances, Deposit, knownAssets } from "../parts/funds";
import { LogInFirst } from "../parts/orders";
import { client, logOut, session, withSecondFactor } from "../session";

export function AccountPage() {
  const loggedIn = session.value.phase === "in";
  const me = useSignal<Me | null>(null);
  const problem = useSignal<string | null>(null);
  const reload = async () => {
    try {
      me.value = await client.me();
      problem.value = null;
    } catch (error) {
      problem.value = sentenceOf(error);
    }
  };
  useEffect(() => {
    document.title = "Account · Tapeline";
    if (loggedIn) void reload();
  }, [loggedIn]);
  if (!loggedIn) {
    return (
      <div class="page">
        <h1>Account</h1>
        <LogInFirst what="your account" />
      </div>
    );
  }
  return (
    <div class="page">
      <header class="page-head">
        <h1>Account</h1>
        <button type="button" onClick={() => void logOut()} data-testid="log-out">
          Log out
        </button>
      </header>
      {problem.value ? (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      ) : null}
      <div class="cards-grid">
        <Profile me={me.value} />
        <Passkeys me={me.value} reload={reload} />
        <section class="panel card" aria-labelledby="balances-title">
          <h2 id="balances-title">Balances</h2>
          <Balances />
          <Deposit assets={[]} />
        </section>
        <Withdrawal me={me.value} />
        <ApiKeys />
      </div>
    </div>
  );
}

function Profile({ me }: { me: Me | null }) {
  return (
    <section class="panel card" aria-labelledby="profile-title">
      <h2 id="profile-title">Profile</h2>
      {me ? (
        <dl class="facts">
          <div>
            <dt>Login</dt>
            <dd data-testid="profile-login">{me.login}</dd>
          </div>
          <div>
            <dt>Name</dt>
            <dd>{me.display_name || "–"}</dd>
          </div>
          <div>
            <dt>Account</dt>
            <dd class="num">{me.account}</dd>
          </div>
          <div>
            <dt>Roles</dt>
            <dd>{me.roles.join(", ") || "trader"}</dd>
          </div>
        </dl>
      ) : (
        <Skeleton rows={4} />
      )}
    </section>
  );
}

function Passkeys({ me, reload }: { me: Me | null; reload: () => Promise<void> }) {
  const label = useSignal("");
  const sentence = useSignal<string | null>(null);
  const busy = useSignal(false);
  const attempt = async (work: () => Promise<void>) => {
    busy.value = true;
    sentence.value = null;
    try {
      await withSecondFactor(work);
      await reload();
    } catch (error) {
      sentence.value = sentenceOf(error);
    }
    busy.value = false;
  };
  const register = (event: Event) => {
    event.preventDefault();
    void attempt(async () => {
      const options = await client.passkeyOptions();
      const credential = await createPasskey(options.public_key);
      await client.addPasskey({ challenge: options.challenge, credential, label: label.value.trim() || "Passkey" });
      label.value = "";
    });
  };
  return (
    <section class="panel card" aria-labelledby="passkeys-title">
      <h2 id="passkeys-title">Passkeys</h2>
      <p class="dim">With a passkey, logging in and withdrawing ask for it as a second factor.</p>
      {me === null ? (
        <Skeleton rows={2} />
      ) : me.passkeys.length === 0 ? (
        <Empty title="No passkeys yet">Register one to protect withdrawals.</Empty>
      ) : (
        <ul class="list" data-testid="passkeys">
          {me.passkeys.map((passkey) => (
            <li key={passkey.id}>
              <span>{passkey.label}</span>
              <span class="dim">
                since <Time at_ms={passkey.created_ms} />
              </span>
              <button
                type="button"
                disabled={busy.value}
                aria-label={`Remove ${passkey.label}`}
                onClick={() => void attempt(() => client.removePasskey(passkey.id))}
              >
                Remove
              </button>
            </li>
          ))}
        </ul>
      )}
      {sentence.value ? (
        <p class="problem" role="alert">
          {sentence.value}
        </p>
      ) : null}
      {passkeysWork() ? (
        <form class="inline-form" onSubmit={register}>
          <Field label="Name of the new passkey">
            {(ids) => (
              <input
                {...ids}
                value={label.value}
                maxLength={64}
                placeholder="Laptop"
                onInput={(event) => (label.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <button type="submit" disabled={busy.value} data-testid="add-passkey">
            {busy.value ? "Waiting…" : "Register"}
          </button>
        </form>
      ) : (
        <p class="hint">This browser can't use passkeys here: it needs https or localhost, and WebAuthn.</p>
      )}
    </section>
  );
}

function Withdrawal({ me }: { me: Me | null }) {
  const asset = useSignal<string | null>(null);
  const amount = useSignal("");
  const sentence = useSignal<string | null>(null);
  const busy = useSignal(false);
  const assets = knownAssets([]);
  const chosen = asset.value ?? assets[0] ?? "";
  const has = available(chosen);
  const protectedBy = (me?.passkeys.length ?? 0) > 0;
  const submit = async (event: Event) => {
    event.preventDefault();
    const parsed = parseAmount(amount.value, "Amount");
    if (!parsed.ok) return void (sentence.value = parsed.sentence);
    if (parsed.value === 0n) return void (sentence.value = "The amount must be above 0.");
    if (has !== null && parsed.value > has) return void (sentence.value = `You have ${show(has)} ${chosen} available.`);
    busy.value = true;
    sentence.value = null;
    try {
      const text = wire(parsed.value);
      await withSecondFactor(() => withdraw(chosen, text));
      amount.value = "";
      notify({ tone: "info", text: `The withdrawal of ${show(parsed.value)} ${chosen} is on its way.` });
    } catch (error) {
      sentence.value = sentenceOf(error);
    }
    busy.value = false;
  };
  return (
    <section class="panel card" aria-labelledby="withdraw-title">
      <h2 id="withdraw-title">Withdraw</h2>
      <p class="dim">
        {protectedBy ? "Your passkey confirms it, for five minutes." : "Register a passkey to protect withdrawals."}
      </p>
      <form onSubmit={submit} noValidate data-testid="withdraw-form">
        <Field label="Asset">
          {(ids) => (
            <select
              {...ids}
              value={chosen}
              onChange={(event) => (asset.value = event.currentTarget.value)}
              data-testid="withdraw-asset"
            >
              {assets.map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Amount" hint={has === null ? null : `${show(has)} ${chosen} available`} problem={sentence.value}>
          {(ids) => (
            <input
              {...ids}
              class="num"
              inputMode="decimal"
              autoComplete="off"
              value={amount.value}
              onInput={(event) => (amount.value = event.currentTarget.value)}
              data-testid="withdraw-amount"
            />
          )}
        </Field>
        <button type="submit" disabled={busy.value} data-testid="withdraw-send">
          {busy.value ? "Sending…" : "Withdraw"}
        </button>
      </form>
    </section>
  );
}

const SCOPES: [Scope, string][] = [
  ["read", "Read orders, fills and balances"],
  ["trade", "Place, amend and cancel"],
  ["withdraw", "Withdraw funds"],
];

function ApiKeys() {
  const keys = useSignal<ApiKey[] | null>(null);
  const made = useSignal<NewApiKey | null>(null);
  const sentence = useSignal<string | null>(null);
  const attempt = async (work: () => Promise<void>) => {
    sentence.value = null;
    try {
      await withSecondFactor(work);
      keys.value = await client.apiKeys();
    } catch (error) {
      sentence.value = sentenceOf(error);
    }
  };
  useEffect(() => void attempt(async () => {}), []);
  return (
    <section class="panel card wide" aria-labelledby="keys-title">
      <h2 id="keys-title">API keys</h2>
      {made.value ? <MadeKey made={made.value} close={() => (made.value = null)} /> : null}
      {sentence.value ? (
        <p class="problem" role="alert">
          {sentence.value}
        </p>
      ) : null}
      {keys.value === null && !sentence.value ? <Skeleton rows={2} /> : null}
      {keys.value?.length === 0 ? <Empty title="No API keys yet">Programs log in with one.</Empty> : null}
      {keys.value && keys.value.length > 0 ? (
        <table class="cards" data-testid="api-keys">
          <thead>
            <tr>
              <th>Label</th>
              <th>Key</th>
              <th>May</th>
              <th>Ends</th>
              <th>
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {keys.value.map((key) => (
              <tr key={key.key_id}>
                <td data-label="Label">{key.label}</td>
                <td class="num" data-label="Key">
                  {key.key_id}
                </td>
                <td data-label="May">{key.scopes.join(", ")}</td>
                <td data-label="Ends">{key.expires_ms ? dateText(key.expires_ms) : "–"}</td>
                <td class="actions">
                  <button
                    type="button"
                    aria-label={`Revoke ${key.label}`}
                    onClick={() => void attempt(() => client.removeApiKey(key.key_id))}
                  >
                    Revoke
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      <NewKeyForm
        make={(body) =>
          attempt(async () => {
            made.value = await client.addApiKey(body);
          })
        }
      />
    </section>
  );
}

function MadeKey({ made, close }: { made: NewApiKey; close: () => void }) {
  const copied: Signal<boolean> = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(made.api_key);
      copied.value = true;
    } catch {
      notify({ tone: "bad", text: "The browser did not copy it. Select the key and copy it by hand." });
    }
  };
  return (
    <div class="made-key" role="status" data-testid="made-key">
      <p>
        The key <b>{made.label}</b>. It is shown this once: keep it now.
      </p>
      <code class="num" data-testid="api-key">
        {made.api_key}
      </code>
      <div class="row">
        <button type="button" class="primary" onClick={() => void copy()}>
          {copied.value ? "Copied" : "Copy"}
        </button>
        <button type="button" onClick={close}>
          I have it
        </button>
      </div>
    </div>
  );
}

function NewKeyForm({
  make,
}: {
  make: (body: { label: string; scopes: Scope[]; expires_in_days: number }) => Promise<void>;
}) {
  const label = useSignal("");
  const scopes = useSignal<readonly Scope[]>(["read"]);
  const days = useSignal("30");
  const problems = useSignal<{ label?: string; days?: string; scopes?: string }>({});
  const submit = (event: Event) => {
    event.preventDefault();
    const count = Number(days.value);
    problems.value = {
      ...(label.value.trim() ? {} : { label: "Give the key a name." }),
      ...(Number.isInteger(count) && count >= 1 && count <= 365 ? {} : { days: "1 to 365 days." }),
      ...(scopes.value.length > 0 ? {} : { scopes: "Choose at least one thing that it may do." }),
    };
    if (Object.keys(problems.value).length > 0) return;
    void make({ label: label.value.trim(), scopes: [...scopes.value], expires_in_days: count });
    label.value = "";
  };
  const toggle = (scope: Scope, on: boolean) => {
    scopes.value = SCOPES.map(([name]) => name).filter((name) => (name === scope ? on : scopes.value.includes(name)));
  };
  return (
    <form class="key-form" onSubmit={submit} noValidate aria-label="New API key" data-testid="api-key-form">
      <Field label="Label" problem={problems.value.label}>
        {(ids) => (
          <input
            {...ids}
            maxLength={64}
            value={label.value}
            onInput={(event) => (label.value = event.currentTarget.value)}
            data-testid="api-key-label"
          />
        )}
      </Field>
      <Field label="Valid for" unit="days" problem={problems.value.days}>
        {(ids) => (
          <input
            {...ids}
            class="num"
            inputMode="numeric"
            value={days.value}
            onInput={(event) => (days.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <fieldset>
        <legend>It may</legend>
        {SCOPES.map(([scope, words]) => (
          <label key={scope} class="check">
            <input
              type="checkbox"
              checked={scopes.value.includes(scope)}
              onChange={(event) => toggle(scope, event.currentTarget.checked)}
              data-testid={`scope-${scope}`}
            />
            {words}
          </label>
        ))}
        {problems.value.scopes ? <p class="problem">{problems.value.scopes}</p> : null}
      </fieldset>
      <button type="submit" data-testid="api-key-make">
        Make a key
      </button>
    </form>
  );
}
