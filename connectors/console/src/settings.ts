/** What stays in this browser: the theme and the last instrument. Nothing of an account is ever kept here. */
import { signal } from "@preact/signals";

export type Theme = "system" | "dark" | "light";
const THEME = "tapeline.theme";
const INSTRUMENT = "tapeline.instrument";

/** Storage can be switched off; the console works without it. */
function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Not kept, then.
  }
}

const kept = read(THEME);
export const theme = signal<Theme>(kept === "dark" || kept === "light" ? kept : "system");
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
/** The theme that is seen. */
export const shownTheme = signal<"dark" | "light">("dark");

function show(): void {
  const shown =
    theme.peek() === "system" ? (systemDark.matches ? "dark" : "light") : (theme.peek() as "dark" | "light");
  document.documentElement.dataset.theme = shown;
  document
    .querySelector('meta[name="theme-color"]')
    ?.setAttribute("content", getComputedStyle(document.documentElement).getPropertyValue("--panel").trim());
  shownTheme.value = shown;
}

export function setTheme(next: Theme): void {
  theme.value = next;
  write(THEME, next === "system" ? null : next);
  show();
}

export function start(): void {
  systemDark.addEventListener("change", show);
  show();
}

export const lastInstrument = () => read(INSTRUMENT);
export const keepInstrument = (symbol: string) => write(INSTRUMENT, symbol);
