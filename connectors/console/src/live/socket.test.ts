import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backoffMs } from "./backoff";
import { freshness } from "./freshness";
import { LiveSocket, type Connection, type Wire } from "./socket";

class FakeWire implements Wire {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly sent: Record<string, unknown>[] = [];
  closed: number | null = null;
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(code?: number): void {
    this.closed = code ?? 1005;
  }
  tell(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  /** Acknowledges the latest message with this op. */
  ack(op: string): void {
    this.tell({ type: "ack", id: this.sent.filter((message) => message.op === op).at(-1)?.id });
  }
  ops(): string[] {
    return this.sent.map((message) => [message.op, message.channel].filter(Boolean).join(" "));
  }
}

let wires: FakeWire[];
let phases: Connection[];
let needToken: ReturnType<typeof vi.fn<() => void>>;
let socket: LiveSocket;
const wire = () => wires.at(-1) as FakeWire;
const DEPTH = { channel: "depth", instrument: "ABC-USD", levels: 50 } as const;

beforeEach(() => {
  vi.useFakeTimers();
  wires = [];
  phases = [];
  needToken = vi.fn<() => void>();
  socket = new LiveSocket({
    connect: () => {
      const made = new FakeWire();
      wires.push(made);
      return made;
    },
    changed: (phase) => phases.push(phase),
    needToken,
    random: () => 1,
  });
});
afterEach(() => {
  socket.stop();
  vi.useRealTimers();
});

const ALL = { channel: "ticker", instrument: "*" } as const;

/** An open connection that something is wanted of, its first message forgotten. */
function open(): void {
  socket.subscribe(ALL, { message: () => {} });
  socket.start();
  wire().onopen?.();
  wire().sent.length = 0;
}

describe("subscriptions", () => {
  test("go out when the connection is open, once for all who listen", () => {
    const heard: string[] = [];
    socket.subscribe(DEPTH, { message: () => heard.push("a") });
    socket.start();
    wire().onopen?.();
    const leave = socket.subscribe(DEPTH, { message: () => heard.push("b") });
    expect(wire().ops()).toEqual(["subscribe depth"]);
    wire().tell({ type: "depth", instrument: "ABC-USD", levels: 50 });
    wire().tell({ type: "depth", instrument: "OTHER", levels: 50 });
    wire().tell({ type: "depth", instrument: "ABC-USD", levels: 10 });
    expect(heard).toEqual(["a", "b"]);
    leave();
    expect(wire().ops()).toEqual(["subscribe depth"]);
  });

  test("end with the last listener", () => {
    open();
    const leave = socket.subscribe(DEPTH, { message: () => {} });
    leave();
    expect(wire().sent.at(-1)).toMatchObject({ op: "unsubscribe", ...DEPTH });
  });

  test("come again after a reconnect, the account's from where it was", () => {
    let position = "p1";
    socket.authenticate("token");
    socket.subscribe({ channel: "account" }, { message: () => {}, resume: () => ({ after: position }) });
    socket.subscribe(DEPTH, { message: () => {} });
    socket.start();
    wire().onopen?.();
    wire().ack("auth");
    expect(wire().sent.at(-1)).toMatchObject({ op: "subscribe", channel: "account", after: "p1" });
    position = "p2";
    wire().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(500);
    wire().onopen?.();
    expect(wire().ops()).toEqual(["auth", "subscribe depth"]);
    wire().ack("auth");
    expect(wire().sent.at(-1)).toMatchObject({ channel: "account", after: "p2" });
    expect(wires.length).toBe(2);
  });

  test("can be renewed for a fresh snapshot", () => {
    open();
    socket.subscribe(DEPTH, { message: () => {} });
    socket.resubscribe(DEPTH);
    expect(wire().ops()).toEqual(["subscribe depth", "unsubscribe depth", "subscribe depth"]);
  });

  test("that are refused say so to their listeners", () => {
    const refused = vi.fn();
    open();
    socket.subscribe(DEPTH, { message: () => {}, refused });
    wire().tell({ type: "error", id: wire().sent[0]?.id, problem: { code: "unknown_instrument" } });
    expect(refused).toHaveBeenCalledWith({ code: "unknown_instrument" });
  });

  test("each get the messages of their channel", () => {
    open();
    const heard: string[] = [];
    const listen = (name: string) => ({ message: () => heard.push(name) });
    socket.subscribe({ channel: "ticker", instrument: "*" }, listen("all tickers"));
    socket.subscribe({ channel: "ticker", instrument: "X" }, listen("ticker X"));
    socket.subscribe({ channel: "candles", instrument: "X", interval: "1m" }, listen("candles"));
    wire().tell({ type: "ticker", instrument: "X" });
    wire().tell({ type: "ticker", instrument: "Y" });
    wire().tell({ type: "candle", instrument: "X", interval: "1m" });
    wire().tell({ type: "candle", instrument: "X", interval: "1s" });
    wire().onmessage?.({ data: "no json" });
    expect(heard).toEqual(["ticker X", "all tickers", "all tickers", "candles"]);
  });
});

describe("the token", () => {
  test("private channels wait for it", () => {
    open();
    socket.subscribe({ channel: "account" }, { message: () => {} });
    expect(wire().ops()).toEqual([]);
    socket.authenticate("t1");
    expect(wire().sent).toMatchObject([{ op: "auth", token: "t1" }]);
    wire().ack("auth");
    expect(wire().ops()).toEqual(["auth", "subscribe account"]);
    socket.authenticate("t2");
    wire().ack("auth");
    expect(wire().ops()).toEqual(["auth", "subscribe account", "auth"]);
  });

  test("a new one is asked for when it ends soon, is refused or has ended", () => {
    open();
    socket.authenticate("t1");
    wire().tell({ type: "auth_expiring", in_s: 30 });
    expect(needToken).toHaveBeenCalledTimes(1);
    wire().tell({ type: "error", id: wire().sent[0]?.id, problem: { code: "expired" } });
    expect(needToken).toHaveBeenCalledTimes(2);
    wire().onclose?.({ code: 4001 });
    expect(needToken).toHaveBeenCalledTimes(3);
  });

  test("after a log-out the connection is another one, which knows nobody", () => {
    socket.authenticate("t1");
    open();
    const first = wire();
    socket.authenticate(null);
    expect(first.closed).toBe(1000);
    expect(wires.length).toBe(2);
    wire().onopen?.();
    expect(wire().ops()).toEqual(["subscribe ticker"]);
    first.onclose?.({ code: 1000 });
    expect(wires.length).toBe(2);
  });
});

describe("coming back", () => {
  test("waits longer each time, up to 30 s, and begins anew after a message", () => {
    socket.subscribe(ALL, { message: () => {} });
    socket.start();
    const waits = Array.from({ length: 9 }, () => {
      const at_ms = Date.now();
      wire().onclose?.({ code: 1006 });
      const phase = phases.at(-1);
      const wait_ms = phase?.phase === "waiting" ? phase.retry_at_ms - at_ms : 0;
      vi.advanceTimersByTime(wait_ms);
      return wait_ms;
    });
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    wire().onopen?.();
    wire().tell({ type: "pong" });
    const at_ms = Date.now();
    wire().onclose?.({ code: 1006 });
    expect(phases.at(-1)).toMatchObject({ phase: "waiting", retry_at_ms: at_ms + 500 });
  });

  test("is tried at once when the browser is online again", () => {
    open();
    wire().onclose?.({ code: 1006 });
    expect(wires.length).toBe(1);
    socket.nudge();
    expect(wires.length).toBe(2);
    vi.advanceTimersByTime(5_000);
    expect(wires.length).toBe(2);
  });

  test("a nudge does not disturb a connection that is open", () => {
    open();
    socket.nudge();
    expect(wires.length).toBe(1);
  });

  test("a silent connection is asked for a sign of life and given up without one", () => {
    open();
    vi.advanceTimersByTime(2_000);
    expect(wire().ops()).toEqual(["ping"]);
    wire().tell({ type: "pong" });
    vi.advanceTimersByTime(11_000);
    expect(wires.length).toBe(1);
    vi.advanceTimersByTime(2_000);
    expect(wires[0]?.closed).toBe(4000);
    expect(phases.at(-1)).toMatchObject({ phase: "waiting" });
  });

  test("a connection that does not open is given up after 10 s", () => {
    socket.subscribe(ALL, { message: () => {} });
    socket.start();
    vi.advanceTimersByTime(11_000);
    expect(wires[0]?.closed).toBe(1005);
    vi.advanceTimersByTime(500);
    expect(wires.length).toBe(2);
  });

  test("a gateway that goes away sends the browser to another one soon, however often it failed before", () => {
    socket.subscribe(ALL, { message: () => {} });
    socket.start();
    for (let round = 0; round < 5; round++) {
      wire().onclose?.({ code: 1006 });
      socket.nudge();
    }
    const at_ms = Date.now();
    wire().onclose?.({ code: 1012 });
    expect(phases.at(-1)).toMatchObject({ retry_at_ms: at_ms + 500 });
  });
});

describe("an idle socket", () => {
  test("connects when something is subscribed or somebody logs in, not before", () => {
    socket.start();
    expect(wires.length).toBe(0);
    socket.authenticate("t1");
    expect(wires.length).toBe(1);
    socket.authenticate(null);
    expect(phases.at(-1)).toEqual({ phase: "idle" });
    expect(wires.length).toBe(1);
    socket.subscribe(ALL, { message: () => {} });
    expect(wires.length).toBe(2);
  });

  test("does not come back when the gateway cuts it for want of use", () => {
    socket.start();
    const leave = socket.subscribe(ALL, { message: () => {} });
    wire().onopen?.();
    leave();
    wire().onclose?.({ code: 1000 });
    vi.advanceTimersByTime(60_000);
    expect(wires.length).toBe(1);
    expect(phases.at(-1)).toEqual({ phase: "idle" });
  });
});

test("the wait before a try has jitter: between half of its step and all of it", () => {
  for (const [attempt, step_ms] of [
    [0, 500],
    [3, 4_000],
    [60, 30_000],
  ] as const) {
    expect(backoffMs(attempt, () => 0)).toBe(step_ms / 2);
    expect(backoffMs(attempt, () => 1)).toBe(step_ms);
  }
});

describe("the age of what is on screen", () => {
  const at_ms = new Date(2026, 0, 1, 12, 3, 10).getTime();
  test.each([
    [{ phase: "idle" }, at_ms, at_ms + 99_000, "idle", "nothing live here"],
    [{ phase: "open" }, at_ms, at_ms + 3_000, "live", "live"],
    [{ phase: "open" }, at_ms, at_ms + 7_900, "stale", "7 s old"],
    [{ phase: "connecting", attempt: 0 }, 0, at_ms, "stale", "connecting…"],
    [{ phase: "connecting", attempt: 2 }, at_ms, at_ms + 9_000, "offline", "connecting…"],
    [{ phase: "waiting", attempt: 1, retry_at_ms: at_ms + 2_500 }, at_ms, at_ms, "offline", "next try in 3 s"],
    [
      { phase: "waiting", attempt: 1, retry_at_ms: at_ms },
      0,
      at_ms,
      "offline",
      "offline: no answer yet, next try in 1 s",
    ],
  ] as [Connection, number, number, string, string][])(
    "%j heard at %d, now %d: %s, %s",
    (phase, heard, now, tone, text) => {
      const shown = freshness(phase, heard, now);
      expect(shown.tone).toBe(tone);
      expect(shown.text).toContain(text);
      if (tone === "offline" && heard > 0) expect(shown.text).toMatch(/^offline since 12:03:10/);
    },
  );
});
