/** The frame around every page: header, connection state, notices, help. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { connection, now_ms, socket } from "../live/link";
import { freshness } from "../live/freshness";
import { dismiss, notices } from "../notices";
import { route } from "../router";
import { session } from "../session";
import { setTheme, theme, type Theme } from "../settings";
import { helpOpen, SHORTCUTS } from "../keys";
import { update } from "../update";
import { Link } from "./common";
import { Picker } from "./picker";

const PAGES = [
  { page: "trade", path: "/", label: "Trade" },
  { page: "analytics", path: "/analytics", label: "Analytics" },
  { page: "pipeline", path: "/pipeline", label: "Pipeline" },
] as const;

/** After a change of page the reading goes on with the page, not with the link that led to it. */
function useFocusOnPage(page: string): void {
  const first = useRef(true);
  useEffect(() => {
    const active = document.activeElement;
    if (!first.current && (active === document.body || active instanceof HTMLAnchorElement)) {
      document.getElementById("main")?.focus({ preventScroll: true });
    }
    first.current = false;
  }, [page]);
}

export function Shell({ children }: { children: ComponentChildren }) {
  const trading = route.value.page === "trade";
  useFocusOnPage(route.value.page);
  return (
    <div class={`shell${trading ? " trading" : ""}`}>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="top">
        <Link href="/" class="brand" aria-label="Tapeline, trade">
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M2 15h4l3-8 4 12 3-7h6" />
          </svg>
          <span>Tapeline</span>
        </Link>
        <nav aria-label="Pages">
          {PAGES.map(({ page, path, label }) => (
            <Link key={page} href={path} aria-current={route.value.page === page ? "page" : undefined}>
              {label}
            </Link>
          ))}
        </nav>
        <Picker />
        <div class="top-end">
          <ConnectionState />
          <ThemeChoice />
          <button
            type="button"
            class="quiet square wide-only"
            aria-label="Keyboard help"
            onClick={() => (helpOpen.value = true)}
          >
            ?
          </button>
          <Who />
        </div>
      </header>
      <UpdateBar />
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      <Notices />
      <Help />
    </div>
  );
}

const SPOKEN = {
  live: "Connected, data is live",
  stale: "Data is getting old",
  offline: "Offline",
  idle: "No live data on this page",
};

/** How old the data on screen is. Only a change of kind is read aloud, not each second. */
function ConnectionState() {
  const { tone, text } = freshness(connection.value, socket.heard_ms, now_ms.value);
  const spoken = SPOKEN[tone];
  return (
    <span class={`connection ${tone}`} data-testid="connection" data-state={tone} title={spoken}>
      <span class="dot" aria-hidden="true" />
      <span class="connection-text">{text}</span>
      <span class="hidden" role="status">
        {spoken}
      </span>
    </span>
  );
}

const NEXT: Record<Theme, Theme> = { system: "dark", dark: "light", light: "system" };
const THEME_SHAPE: Record<Theme, string> = { system: "◐", dark: "●", light: "○" };

function ThemeChoice() {
  const now = theme.value;
  return (
    <button
      type="button"
      class="quiet square"
      data-testid="theme"
      aria-label={`Theme: ${now}. Switch to ${NEXT[now]}`}
      title={`Theme: ${now}`}
      onClick={() => setTheme(NEXT[now])}
    >
      {THEME_SHAPE[now]}
    </button>
  );
}

function Who() {
  const now = session.value;
  if (now.phase === "starting") return <span class="who dim">…</span>;
  if (now.phase === "in") {
    return (
      <Link
        href="/account"
        class="who"
        data-testid="account-link"
        aria-current={route.value.page === "account" ? "page" : undefined}
      >
        {now.user.display_name || now.user.login}
      </Link>
    );
  }
  return (
    <Link href="/log-in" class="who button primary" data-testid="log-in-link">
      Log in
    </Link>
  );
}

function UpdateBar() {
  if (!update.value) return null;
  return (
    <div class="update" role="status">
      A new version of the console is here.
      <button type="button" onClick={() => update.value?.()} data-testid="update">
        Load it
      </button>
    </div>
  );
}

const SHAPE = { good: "✓", bad: "✕", info: "i" } as const;

function Notices() {
  return (
    <div class="notices" role="log" aria-live="polite" aria-label="Notices" data-testid="notices">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice ${notice.tone}`} data-testid={`notice-${notice.tone}`}>
          <span class="notice-shape" aria-hidden="true">
            {SHAPE[notice.tone]}
          </span>
          <p>{notice.text}</p>
          <button type="button" class="quiet square" aria-label="Dismiss" onClick={() => dismiss(notice.id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}

function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = helpOpen.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-labelledby="help-title"
      onClose={() => (helpOpen.value = false)}
      data-testid="help"
    >
      <h2 id="help-title">Keyboard</h2>
      <dl>
        {SHORTCUTS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="dim">
        Charts:{" "}
        <a href="https://www.tradingview.com/" rel="noreferrer" target="_blank">
          TradingView Lightweight Charts
        </a>
        .
      </p>
      <button type="button" class="primary" onClick={() => (helpOpen.value = false)}>
        Close
      </button>
    </dialog>
  );
}
