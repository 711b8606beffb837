/**
 * Who is logged in. The access token lives in this module's memory and nowhere else; the refresh token is a cookie that
 * scripts can't read. Tabs renew one after the other (a lock), since a refresh token that is used twice ends the session.
 */
import { signal } from "@preact/signals";
import { Client } from "./api/client";
import { NoAnswerError, ProblemError, sentenceOf } from "./api/problems";
import type { SecondFactor, SessionAnswer, User } from "./api/types";
import { usePasskey } from "./api/webauthn";

export type Session =
  | { phase: "starting" }
  | { phase: "out"; sentence: string | null }
  | { phase: "factor"; factor: SecondFactor }
  | { phase: "in"; user: User };

export const session = signal<Session>({ phase: "starting" });

const RENEW_BEFORE_MS = 60_000;
/** Of an access token whose answer does not say. */
const USUAL_LIFE_S = 300;
const RETRY_MS = 3_000;
const LOCK = "tapeline.refresh";

let token: string | null = null;
let renewing: Promise<boolean> | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
/** Tells the tabs of a log-out. */
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("tapeline") : null;
const listeners = new Set<(token: string | null) => void>();

export const client = new Client({ token: () => token, renew: () => renew() });

/** Hears each new token, and null when the session ends. */
export function onToken(listener: (token: string | null) => void): void {
  listeners.add(listener);
  listener(token);
}

function setToken(next: string | null): void {
  token = next;
  for (const listener of listeners) listener(next);
}

function enter(answer: SessionAnswer): void {
  clearTimeout(timer);
  const life_ms = (answer.expires_in_s || USUAL_LIFE_S) * 1000;
  timer = setTimeout(() => void renew(), Math.max(life_ms / 2, life_ms - RENEW_BEFORE_MS));
  const before = session.peek();
  // Another tab may have logged in as somebody else: nothing of the first account may stay on screen.
  if (before.phase === "in" && before.user.user_id !== answer.user.user_id) setToken(null);
  session.value = { phase: "in", user: answer.user };
  setToken(answer.access_token);
}

function leave(sentence: string | null): void {
  clearTimeout(timer);
  session.value = { phase: "out", sentence };
  setToken(null);
}

/** A new access token by the cookie. False where the session has ended; without an answer it is tried again. */
export function renew(): Promise<boolean> {
  renewing ??= locked(renewOnce).finally(() => {
    renewing = null;
  });
  return renewing;
}

const locked = <T>(work: () => Promise<T>): Promise<T> =>
  "locks" in navigator ? (navigator.locks.request(LOCK, work) as Promise<T>) : work();

async function renewOnce(): Promise<boolean> {
  const before = session.peek().phase;
  try {
    const answer = await client.refresh();
    if (!answer) {
      leave(before === "in" ? "Your session has ended. Log in again." : null);
      return false;
    }
    enter(answer);
    return true;
  } catch (error) {
    const ended = error instanceof ProblemError && error.problem.status === 401;
    if (ended) {
      leave(before === "in" ? sentenceOf(error) : null);
    } else {
      // The gateway is away or busy: what is on screen stays, and the next try comes soon.
      clearTimeout(timer);
      const wait_s = error instanceof ProblemError ? error.problem.retry_after_s : undefined;
      timer = setTimeout(() => void renew(), wait_s ? wait_s * 1000 : RETRY_MS);
      if (before === "starting") session.value = { phase: "out", sentence: null };
    }
    return false;
  }
}

export function start(): void {
  tabs?.addEventListener("message", (event) => {
    if (event.data === "logged-out" && session.peek().phase === "in") leave("You logged out in another tab.");
    if (event.data === "logged-in" && session.peek().phase === "out") void renew();
  });
  void renew();
}

/** Throws what the client throws. With passkeys it ends in the phase `factor`. */
export async function logIn(login: string, password: string): Promise<void> {
  const answer = await client.logIn({ login, password });
  if ("second_factor" in answer) session.value = { phase: "factor", factor: answer.second_factor };
  else entered(answer);
}

export async function confirmLogIn(factor: SecondFactor): Promise<void> {
  const credential = await usePasskey(factor.public_key);
  entered(await client.secondFactorLogIn({ challenge: factor.challenge, credential }));
}

function entered(answer: SessionAnswer): void {
  enter(answer);
  tabs?.postMessage("logged-in");
}

export const giveUpFactor = () => leave(null);

/** Does what may need a fresh second factor: asks for it where the gateway does, and tries once more. */
export async function withSecondFactor(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ProblemError && error.problem.code === "second_factor_needed")) throw error;
    await confirmAgain();
    await work();
  }
}

async function confirmAgain(): Promise<void> {
  const factor = await client.secondFactorOptions();
  const credential = await usePasskey(factor.public_key);
  const answer = await client.secondFactor({ challenge: factor.challenge, credential });
  const now = session.peek();
  enter(now.phase === "in" ? { ...answer, user: answer.user ?? now.user } : answer);
}

/** Ends the session here at once and, where the gateway can be reached, everywhere. */
export async function logOut(): Promise<string | null> {
  let sentence: string | null = null;
  try {
    await client.logOut();
  } catch (error) {
    if (error instanceof NoAnswerError) sentence = "Logged out here, but the gateway could not be told.";
  }
  tabs?.postMessage("logged-out");
  leave(sentence);
  return sentence;
}
