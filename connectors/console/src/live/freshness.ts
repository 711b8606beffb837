/** How old what is on the screen is, in words. */
import type { Connection } from "./socket";

/** The gateway is asked for a sign of life after 2 s of silence, so less than 4 s is as good as now. */
const LIVE_MS = 4_000;

export interface Freshness {
  tone: "live" | "stale" | "offline" | "idle";
  text: string;
}

const clock = (at_ms: number) => new Date(at_ms).toLocaleTimeString([], { hourCycle: "h23" });

export function freshness(connection: Connection, heard_ms: number, now_ms: number): Freshness {
  if (connection.phase === "open") {
    const age_ms = now_ms - heard_ms;
    if (age_ms < LIVE_MS) return { tone: "live", text: "live" };
    return { tone: "stale", text: `${Math.floor(age_ms / 1000)} s old` };
  }
  if (connection.phase === "idle") return { tone: "idle", text: "nothing live here" };
  if (heard_ms === 0) {
    return connection.phase === "connecting"
      ? { tone: "stale", text: "connecting…" }
      : { tone: "offline", text: `offline: no answer yet, ${nextTry(connection, now_ms)}` };
  }
  const since = `offline since ${clock(heard_ms)}`;
  return { tone: "offline", text: `${since}, ${nextTry(connection, now_ms)}` };
}

function nextTry(connection: Connection, now_ms: number): string {
  if (connection.phase !== "waiting") return "connecting…";
  const left_s = Math.max(1, Math.ceil((connection.retry_at_ms - now_ms) / 1000));
  return `next try in ${left_s} s`;
}
