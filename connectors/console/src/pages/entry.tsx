/** Log-in with its second step, and sign-up. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ProblemError, sentenceOf } from "../api/problems";
import type { SecondFactor } from "../api/types";
import { passkeysWork } from "../api/webauthn";
import { Field, Link } from "../parts/common";
import { go } from "../router";
import { client, confirmLogIn, giveUpFactor, logIn, session } from "../session";

function useLeaveWhenIn(): void {
  const phase = session.value.phase;
  useEffect(() => {
    if (phase === "in") go("/", true);
  }, [phase]);
}

export function LogInPage() {
  useLeaveWhenIn();
  useEffect(() => {
    document.title = "Log in · Tapeline";
  }, []);
  const now = session.value;
  return (
    <div class="entry panel">
      {now.phase === "factor" ? (
        <Factor factor={now.factor} />
      ) : (
        <Password ended={now.phase === "out" ? now.sentence : null} />
      )}
    </div>
  );
}

function Password({ ended }: { ended: string | null }) {
  const login = useSignal("");
  const password = useSignal("");
  const sentence = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!login.value || !password.value) {
      sentence.value = "Give your login and your password.";
      return;
    }
    busy.value = true;
    sentence.value = null;
    try {
      await logIn(login.value, password.value);
    } catch (error) {
      sentence.value = sentenceOf(error);
    }
    busy.value = false;
  };
  return (
    <form onSubmit={submit} noValidate data-testid="log-in-form">
      <h1>Log in</h1>
      {ended && !sentence.value ? (
        <p class="hint" role="status">
          {ended}
        </p>
      ) : null}
      <Field label="Login">
        {(ids) => (
          <input
            {...ids}
            autoComplete="username"
            autoCapitalize="none"
            spellcheck={false}
            value={login.value}
            onInput={(event) => (login.value = event.currentTarget.value)}
            data-testid="login"
          />
        )}
      </Field>
      <Field label="Password">
        {(ids) => (
          <input
            {...ids}
            type="password"
            autoComplete="current-password"
            value={password.value}
            onInput={(event) => (password.value = event.currentTarget.value)}
            data-testid="password"
          />
        )}
      </Field>
      {sentence.value ? (
        <p class="problem" role="alert" data-testid="entry-problem">
          {sentence.value}
        </p>
      ) : null}
      <button type="submit" class="primary" disabled={busy.value} data-testid="log-in">
        {busy.value ? "Checking…" : "Log in"}
      </button>
      <p class="dim">
        New here? <Link href="/sign-up">Sign up</Link>
      </p>
    </form>
  );
}

function Factor({ factor }: { factor: SecondFactor }) {
  const sentence = useSignal<string | null>(null);
  const busy = useSignal(false);
  const confirm = async () => {
    busy.value = true;
    sentence.value = null;
    try {
      await confirmLogIn(factor);
    } catch (error) {
      sentence.value = sentenceOf(error);
    }
    busy.value = false;
  };
  return (
    <div data-testid="second-factor">
      <h1>Confirm it is you</h1>
      <p>Your password is right. Now use one of your passkeys.</p>
      {passkeysWork() ? null : (
        <p class="problem">This browser can't use passkeys here: it needs https or localhost, and WebAuthn.</p>
      )}
      {sentence.value ? (
        <p class="problem" role="alert">
          {sentence.value}
        </p>
      ) : null}
      <div class="row">
        <button
          type="button"
          class="primary"
          disabled={busy.value}
          onClick={() => void confirm()}
          data-testid="use-passkey"
        >
          {busy.value ? "Waiting for the passkey…" : "Use a passkey"}
        </button>
        <button type="button" onClick={giveUpFactor}>
          Back
        </button>
      </div>
    </div>
  );
}

const LEAST_PASSWORD = 10;

export function SignUpPage() {
  useLeaveWhenIn();
  useEffect(() => {
    document.title = "Sign up · Tapeline";
  }, []);
  const login = useSignal("");
  const name = useSignal("");
  const password = useSignal("");
  const problems = useSignal<{ login?: string; password?: string; all?: string }>({});
  const busy = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    problems.value = {
      ...(login.value ? {} : { login: "Choose a login." }),
      ...(password.value.length < LEAST_PASSWORD ? { password: `Use at least ${LEAST_PASSWORD} characters.` } : {}),
      ...(login.value && password.value === login.value ? { password: "The password must not be the login." } : {}),
    };
    if (Object.keys(problems.value).length > 0) return;
    busy.value = true;
    try {
      const display_name = name.value.trim();
      await client.signUp({ login: login.value, password: password.value, ...(display_name ? { display_name } : {}) });
      await logIn(login.value, password.value);
    } catch (error) {
      const code = error instanceof ProblemError ? error.problem.code : "";
      const field = code === "login_taken" ? "login" : code === "weak_password" ? "password" : "all";
      problems.value = { [field]: sentenceOf(error) };
    }
    busy.value = false;
  };
  return (
    <div class="entry panel">
      <form onSubmit={submit} noValidate data-testid="sign-up-form">
        <h1>Sign up</h1>
        <Field label="Login" problem={problems.value.login}>
          {(ids) => (
            <input
              {...ids}
              autoComplete="username"
              autoCapitalize="none"
              spellcheck={false}
              value={login.value}
              onInput={(event) => (login.value = event.currentTarget.value)}
              data-testid="login"
            />
          )}
        </Field>
        <Field label="Name (optional)" hint="Shown to you in place of the login.">
          {(ids) => (
            <input
              {...ids}
              autoComplete="name"
              value={name.value}
              onInput={(event) => (name.value = event.currentTarget.value)}
              data-testid="display-name"
            />
          )}
        </Field>
        <Field label="Password" problem={problems.value.password} hint="At least 10 characters, not your login.">
          {(ids) => (
            <input
              {...ids}
              type="password"
              autoComplete="new-password"
              value={password.value}
              onInput={(event) => (password.value = event.currentTarget.value)}
              data-testid="password"
            />
          )}
        </Field>
        {problems.value.all ? (
          <p class="problem" role="alert" data-testid="entry-problem">
            {problems.value.all}
          </p>
        ) : null}
        <button type="submit" class="primary" disabled={busy.value} data-testid="sign-up">
          {busy.value ? "Signing up…" : "Sign up"}
        </button>
        <p class="dim">
          Signed up before? <Link href="/log-in">Log in</Link>
        </p>
      </form>
    </div>
  );
}
