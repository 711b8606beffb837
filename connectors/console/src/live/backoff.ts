/** How long to wait before trying to connect again: exponential with jitter, so that a fleet of browsers spreads out. */

const FIRST_MS = 500;
const MOST_MS = 30_000;

/** Before try number `attempt` (0 is the first try after a loss): between half of the step and all of it. */
export function backoffMs(attempt: number, random: () => number): number {
  const step_ms = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(step_ms / 2 + (random() * step_ms) / 2);
}
