/** Routes by the History API. Names of instruments are encoded: they may hold any character. */
import { signal } from "@preact/signals";

export type Route =
  | { page: "trade"; instrument: string | null }
  | { page: "analytics" | "pipeline" | "account" | "log-in" | "sign-up" | "unknown" };

export function readRoute(pathname: string): Route {
  const [first = "", second, ...rest] = pathname.split("/").slice(1);
  if (rest.length > 0) return { page: "unknown" };
  if (first === "" && second === undefined) return { page: "trade", instrument: null };
  if (first === "trade") return { page: "trade", instrument: second ? decode(second) : null };
  const known = ["analytics", "pipeline", "account", "log-in", "sign-up"] as const;
  const page = known.find((name) => name === first);
  return page && !second ? { page } : { page: "unknown" };
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

export const tradePath = (instrument: string) => `/trade/${encodeURIComponent(instrument)}`;

export const route = signal<Route>(readRoute(location.pathname));

export function go(path: string, replace = false): void {
  if (replace) history.replaceState(null, "", path);
  else if (path !== location.pathname) history.pushState(null, "", path);
  route.value = readRoute(location.pathname);
}

export function start(): void {
  window.addEventListener("popstate", () => {
    route.value = readRoute(location.pathname);
  });
}
