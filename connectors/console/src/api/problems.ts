/** Problem details (RFC 9457) and failed connections as errors, and the sentence that a person reads. */
import { REJECT_SENTENCES } from "../words/reasons";
import type { Problem } from "./types";

/** The gateway said no. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title ?? problem.code);
    this.name = "ProblemError";
  }
}

/** There was no answer: the request may or may not have arrived. */
export class NoAnswerError extends Error {
  constructor() {
    super("The gateway did not answer. Check your connection and try again.");
    this.name = "NoAnswerError";
  }
}

const SENTENCES: Record<string, string> = {
  wrong_credentials: "Login or password is wrong.",
  login_taken: "This login is taken. Choose another one.",
  weak_password: "Choose a longer password: at least 10 characters, and not your login.",
  token_reused: "Your session was used in another place and was ended for safety. Log in again.",
  expired: "Your session has ended. Log in again.",
  deposits_closed: "Deposits are not open here: this gateway does not run in demo mode.",
  second_factor_needed: "Confirm with your passkey first.",
  view_behind: "Tapeline has taken this, but the view of it is late. It will show in a moment.",
  unknown_order: "You have no such order.",
};

/** One sentence for people: what happened and what to do. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ProblemError) return problemSentence(error.problem);
  if (error instanceof NoAnswerError) return error.message;
  if (error instanceof Error && error.name === "NotAllowedError") {
    return "The passkey was not confirmed: the prompt was closed or ran out of time.";
  }
  if (error instanceof Error && error.name === "InvalidStateError") return "This passkey is registered already.";
  return error instanceof Error ? error.message : "Something went wrong.";
}

export function problemSentence(problem: Problem): string {
  const wait = problem.retry_after_s ? ` Try again in ${problem.retry_after_s} s.` : "";
  if (problem.status === 429) return `That was too often.${wait || " Wait a moment and try again."}`;
  const known = SENTENCES[problem.code] ?? REJECT_SENTENCES[problem.code];
  if (known) return known + wait;
  return asSentence(problem.detail ?? problem.title ?? `The gateway refused this (${problem.code})`) + wait;
}

const asSentence = (text: string) => {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
};

/** Answers that say for sure that the command was not taken, although they look like a failure of the gateway. */
const NOT_TAKEN = new Set(["starting", "too_busy", "kafka_away"]);

/** Whether the command may have been taken all the same: there was no answer, or one that does not tell. */
export function isInDoubt(error: unknown): boolean {
  if (error instanceof NoAnswerError) return true;
  return error instanceof ProblemError && (error.problem.status ?? 0) >= 500 && !NOT_TAKEN.has(error.problem.code);
}
