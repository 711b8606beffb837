/** The day's change of a ticker in percent, exact to two decimals. */
import type { Ticker } from "../api/types";
import { units } from "../money/units";

export interface Change24h {
  tone: "up" | "down" | "flat";
  /** With a shape, so that colour is not the only sign. */
  text: string;
}

export function change24h({ last, open_24h }: Pick<Ticker, "last" | "open_24h">): Change24h | null {
  if (!last || !open_24h) return null;
  const [now, then] = [units(last), units(open_24h)];
  if (then <= 0n) return null;
  const hundredths = ((now - then) * 10_000n) / then;
  const magnitude = hundredths < 0n ? -hundredths : hundredths;
  const digits = `${magnitude / 100n}.${(magnitude % 100n).toString().padStart(2, "0")} %`;
  if (now === then) return { tone: "flat", text: `= ${digits}` };
  return now > then ? { tone: "up", text: `▲ ${digits}` } : { tone: "down", text: `▼ ${digits}` };
}
