/** Small parts that every page uses. */
import type { AnchorHTMLAttributes, ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useId } from "preact/hooks";
import type { Side } from "../api/types";
import { go } from "../router";

type Children = { children?: ComponentChildren };

/** A link that changes the page without loading it. */
export function Link({ href, children, ...rest }: { href: string } & Children & AnchorHTMLAttributes) {
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(href);
  };
  return (
    <a {...rest} href={href} onClick={follow}>
      {children}
    </a>
  );
}

export function Empty({ title, children }: { title: string } & Children) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children ? <p>{children}</p> : null}
    </div>
  );
}

/** Grey lines where content will be. */
export function Skeleton({ rows = 4, label = "Loading" }: { rows?: number; label?: string }) {
  return (
    <div class="skeleton" role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, row) => (
        <span key={row} />
      ))}
    </div>
  );
}

/** Buy or sell by colour, shape and word. */
export function SideMark({ side }: { side: Side }) {
  return (
    <span class={`side ${side}`}>
      <span aria-hidden="true">{side === "buy" ? "▲" : "▼"}</span> {side === "buy" ? "Buy" : "Sell"}
    </span>
  );
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  problem?: string | null;
  unit?: string;
  testid?: string;
  children: (ids: { id: string; "aria-describedby": string | undefined; "aria-invalid": boolean }) => ComponentChildren;
}

/** A labelled control with its hint and what is wrong with it. */
export function Field({ label, hint, problem, unit, testid, children }: FieldProps) {
  const id = useId();
  const noteId = `${id}-note`;
  const note = problem ?? hint;
  return (
    <div class={`field${problem ? " has-problem" : ""}`}>
      <label for={id}>{label}</label>
      <div class="control">
        {children({ id, "aria-describedby": note ? noteId : undefined, "aria-invalid": Boolean(problem) })}
        {unit ? <span class="unit">{unit}</span> : null}
      </div>
      {note ? (
        <p
          id={noteId}
          class={problem ? "problem" : "hint"}
          data-testid={testid && problem ? `${testid}-problem` : null}
        >
          {note}
        </p>
      ) : null}
    </div>
  );
}

export interface Tab<Name extends string> {
  name: Name;
  label: ComponentChildren;
}

interface TabsProps<Name extends string> {
  label: string;
  tabs: Tab<Name>[];
  current: Name;
  choose: (name: Name) => void;
  /** The id of the panel that a tab shows. */
  panel: (name: Name) => string;
  testid?: string;
  class?: string;
}

/** A row of tabs: arrow keys move, as the ARIA pattern says. */
export function Tabs<Name extends string>(props: TabsProps<Name>) {
  const { label, tabs, current, choose, panel } = props;
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.name === current);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    choose(next.name);
    event.currentTarget.querySelector<HTMLElement>(`[data-tab="${next.name}"]`)?.focus();
  };
  return (
    <div role="tablist" aria-label={label} class={`tabs ${props.class ?? ""}`} onKeyDown={onKeyDown}>
      {tabs.map((tab) => (
        <button
          key={tab.name}
          type="button"
          role="tab"
          data-tab={tab.name}
          data-testid={props.testid ? `${props.testid}-${tab.name}` : undefined}
          aria-selected={tab.name === current}
          aria-controls={panel(tab.name)}
          tabIndex={tab.name === current ? 0 : -1}
          onClick={() => choose(tab.name)}
        >
          {tab.label}
        </button>
      ))}
    </div>
  );
}

const time = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dateTime = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
export const timeText = (at_ms: number) => time.format(at_ms);
export const dateText = (at_ms: number) => dateTime.format(at_ms);

/** A time of day where it was today, with its date otherwise; the whole is in the title. */
export function Time({ at_ms }: { at_ms: number }) {
  const today = new Date(at_ms).toDateString() === new Date().toDateString();
  return (
    <time dateTime={new Date(at_ms).toISOString()} title={dateText(at_ms)}>
      {today ? timeText(at_ms) : dateText(at_ms)}
    </time>
  );
}
