/** The instrument picker: a combobox with search, prices and the day's change. */
import { signal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { change24h } from "../live/change";
import { chosen, follow, followTickers, instruments, instrumentsProblem, tickers } from "../live/market";
import { show, units } from "../money/units";
import { go, tradePath } from "../router";

const open = signal(false);
const text = signal("");
const at = signal(0);
const MOST_SHOWN = 100;

function found(): string[] {
  const wanted = text.value.trim().toLowerCase();
  const all = [...(instruments.value?.keys() ?? [])];
  const hits = all.filter((symbol) => symbol.toLowerCase().includes(wanted));
  // What begins with the text stands first.
  const rank = (symbol: string) => (symbol.toLowerCase().startsWith(wanted) ? 0 : 1);
  return hits.sort((a, b) => rank(a) - rank(b)).slice(0, MOST_SHOWN);
}

function choose(symbol: string): void {
  open.value = false;
  text.value = "";
  follow(symbol);
  go(tradePath(symbol));
}

export function Picker() {
  const input = useRef<HTMLInputElement>(null);
  const list = open.value ? found() : [];
  const current = Math.min(at.value, Math.max(0, list.length - 1));

  useEffect(() => (open.value ? followTickers() : undefined), [open.value]);
  useEffect(() => {
    document.getElementById(`pick-${current}`)?.scrollIntoView({ block: "nearest" });
  }, [current, open.value]);

  const onKeyDown = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    if (event.key === "Escape") {
      open.value = false;
      text.value = "";
      input.current?.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      open.value = true;
      const step = event.key === "ArrowDown" ? 1 : -1;
      at.value = Math.max(0, Math.min(list.length - 1, current + step));
    } else if (event.key === "Enter") {
      const symbol = list[current];
      if (symbol) {
        choose(symbol);
        input.current?.blur();
      }
    }
  };
  return (
    <div class="picker">
      <input
        ref={input}
        id="picker"
        data-testid="picker"
        role="combobox"
        aria-label="Instrument"
        aria-expanded={open.value}
        aria-controls="picker-list"
        aria-autocomplete="list"
        aria-activedescendant={list.length > 0 ? `pick-${current}` : undefined}
        placeholder={chosen.value ?? "Search instruments"}
        autoComplete="off"
        spellcheck={false}
        value={text.value}
        onFocus={() => {
          at.value = 0;
          open.value = true;
        }}
        onBlur={() => {
          open.value = false;
        }}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          at.value = 0;
          open.value = true;
        }}
        onKeyDown={onKeyDown}
      />
      <kbd aria-hidden="true" class="wide-only">
        /
      </kbd>
      <ul id="picker-list" role="listbox" aria-label="Instruments" hidden={!open.value}>
        {list.map((symbol, index) => (
          <PickerRow key={symbol} symbol={symbol} index={index} active={index === current} />
        ))}
        {open.value && list.length === 0 ? (
          <li class="dim" role="option" aria-selected="false" aria-disabled="true">
            {instruments.value
              ? `No instrument's name has "${text.value.trim()}" in it.`
              : (instrumentsProblem.value ?? "Loading…")}
          </li>
        ) : null}
      </ul>
    </div>
  );
}

function PickerRow({ symbol, index, active }: { symbol: string; index: number; active: boolean }) {
  const ticker = tickers.value.get(symbol);
  const change = ticker ? change24h(ticker) : null;
  const status = instruments.value?.get(symbol)?.status;
  return (
    <li
      id={`pick-${index}`}
      role="option"
      aria-selected={active}
      onPointerDown={(event) => event.preventDefault()}
      onClick={() => {
        choose(symbol);
        document.getElementById("picker")?.blur();
      }}
    >
      <span class="symbol">{symbol}</span>
      {status && status !== "open" ? <span class="tag">{status}</span> : null}
      <span class="num">{ticker?.last ? show(units(ticker.last)) : "–"}</span>
      <span class={`num change ${change?.tone ?? ""}`}>{change?.text ?? ""}</span>
    </li>
  );
}
