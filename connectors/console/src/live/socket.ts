/**
 * The one WebSocket to the gateway: it comes back by itself, proves who it is, and subscribes again to what is wanted.
 *
 * It knows channels only by their fields. What messages mean is for `market.ts`, `account.ts` and the pages. Commands go
 * by REST, whose answers name problems by field; nothing here places an order.
 */
import type { Problem, ServerMessage } from "../api/types";
import { backoffMs } from "./backoff";

/** `idle`: nobody is logged in and nothing is subscribed. The gateway cuts such connections, so none is made. */
export type Connection =
  | { phase: "idle" }
  | { phase: "connecting"; attempt: number }
  | { phase: "open" }
  | { phase: "waiting"; attempt: number; retry_at_ms: number };

/** The part of `WebSocket` that is used, so that a test can stand in for it. */
export interface Wire {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
}

export interface Channel {
  channel: "depth" | "trades" | "candles" | "ticker" | "status" | "account" | "pipeline";
  instrument?: string;
  levels?: 10 | 50 | "full";
  interval?: string;
}

export interface Listener {
  message(message: ServerMessage): void;
  /** Fields that are looked up when the subscription is sent: where to resume. */
  resume?(): Record<string, unknown>;
  refused?(problem: Problem): void;
}

export interface Hooks {
  connect(): Wire;
  changed(connection: Connection): void;
  /** The token is about to end, has ended or was refused: bring a new one with `authenticate`. */
  needToken(): void;
  random?: () => number;
  now?: () => number;
}

const CHECK_EACH_MS = 1_000;
const PING_AFTER_MS = 2_000;
const DEAD_AFTER_MS = 12_000;
const CONNECT_WITHIN_MS = 10_000;
const TOKEN_EXPIRED = 4001;
const GOING_AWAY = 1012;
const PRIVATE = new Set(["account", "pipeline"]);

const keyOf = (c: Channel) => [c.channel, c.instrument ?? "", c.levels ?? "", c.interval ?? ""].join("\u0000");

interface Subscription {
  fields: Channel;
  listeners: Set<Listener>;
  sent: boolean;
}

export class LiveSocket {
  private wire: Wire | null = null;
  private phase: Connection = { phase: "idle" };
  private readonly subscriptions = new Map<string, Subscription>();
  /** Requests whose answer matters, by id. */
  private readonly asked = new Map<number, { ack?: () => void; error: (problem: Problem) => void }>();
  private nextId = 1;
  private attempt = 0;
  private token: string | null = null;
  private proved = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private check: ReturnType<typeof setInterval> | undefined;
  private opened_ms = 0;
  private pinged_ms = 0;
  /** When the gateway was last heard of, 0 before the first time. */
  heard_ms = 0;

  private readonly random: () => number;
  private readonly now: () => number;

  constructor(private readonly hooks: Hooks) {
    this.random = hooks.random ?? Math.random;
    this.now = hooks.now ?? Date.now;
  }

  start(): void {
    this.check ??= setInterval(() => this.look(), CHECK_EACH_MS);
    this.wake();
  }

  /** Connects where something is wanted of an idle socket. */
  private wake(): void {
    if (this.phase.phase === "idle" && this.check !== undefined && this.isWanted()) this.connect();
  }

  private isWanted(): boolean {
    return this.token !== null || this.subscriptions.size > 0;
  }

  stop(): void {
    clearInterval(this.check);
    this.check = undefined;
    clearTimeout(this.retry);
    this.drop(1000);
    this.phase = { phase: "idle" };
  }

  /** The browser says that the network is back: no waiting for the next try. */
  nudge(): void {
    if (this.phase.phase === "waiting" && this.check !== undefined) {
      this.attempt = 0;
      this.connect();
    }
  }

  /** A token proves the connection; null gives a connection that knows nobody. */
  authenticate(token: string | null): void {
    const hadOne = this.token !== null;
    this.token = token;
    if (token !== null) {
      if (this.phase.phase === "open") this.prove();
      this.wake();
    } else if (hadOne && this.check !== undefined) {
      clearTimeout(this.retry);
      this.drop(1000);
      this.attempt = 0;
      this.setPhase({ phase: "idle" });
      this.wake();
    }
  }

  /** Listens to a channel until the returned function is called. Listeners of one channel share a subscription. */
  subscribe(fields: Channel, listener: Listener): () => void {
    const key = keyOf(fields);
    const subscription = this.subscriptions.get(key) ?? { fields, listeners: new Set<Listener>(), sent: false };
    subscription.listeners.add(listener);
    this.subscriptions.set(key, subscription);
    this.sendSubscription(subscription);
    this.wake();
    return () => {
      subscription.listeners.delete(listener);
      if (subscription.listeners.size > 0 || this.subscriptions.get(key) !== subscription) return;
      this.subscriptions.delete(key);
      if (subscription.sent) this.say({ op: "unsubscribe", ...fields });
    };
  }

  /** Leaves the channel and enters it again, for a fresh snapshot. */
  resubscribe(fields: Channel): void {
    const subscription = this.subscriptions.get(keyOf(fields));
    if (!subscription?.sent) return;
    this.say({ op: "unsubscribe", ...fields });
    subscription.sent = false;
    this.sendSubscription(subscription);
  }

  private setPhase(phase: Connection): void {
    this.phase = phase;
    this.hooks.changed(phase);
  }

  private connect(): void {
    clearTimeout(this.retry);
    this.opened_ms = this.now();
    this.proved = false;
    this.setPhase({ phase: "connecting", attempt: this.attempt });
    let wire: Wire;
    try {
      wire = this.hooks.connect();
    } catch {
      this.lost(1006);
      return;
    }
    this.wire = wire;
    wire.onopen = () => {
      if (this.wire !== wire) return;
      this.heard();
      this.setPhase({ phase: "open" });
      if (this.token !== null) this.prove();
      for (const subscription of this.subscriptions.values()) this.sendSubscription(subscription);
    };
    wire.onmessage = (event) => {
      if (this.wire === wire) this.receive(event.data);
    };
    wire.onclose = (event) => {
      if (this.wire === wire) this.lost(event.code);
    };
  }

  private drop(code: number): void {
    const wire = this.wire;
    this.wire = null;
    this.forget();
    wire?.close(code);
  }

  private forget(): void {
    this.proved = false;
    this.asked.clear();
    for (const subscription of this.subscriptions.values()) subscription.sent = false;
  }

  private lost(code: number): void {
    this.wire = null;
    this.forget();
    if (!this.isWanted()) {
      this.attempt = 0;
      this.setPhase({ phase: "idle" });
      return;
    }
    if (code === TOKEN_EXPIRED) this.hooks.needToken();
    const wait_ms = backoffMs(code === GOING_AWAY ? 0 : this.attempt, this.random);
    this.attempt += 1;
    this.setPhase({ phase: "waiting", attempt: this.attempt, retry_at_ms: this.now() + wait_ms });
    this.retry = setTimeout(() => this.connect(), wait_ms);
  }

  /** Each second: is the other side still there? The browser hides WebSocket pings, so this asks in messages. */
  private look(): void {
    const now = this.now();
    if (this.phase.phase === "connecting" && now - this.opened_ms > CONNECT_WITHIN_MS) {
      const wire = this.wire;
      this.lost(1006);
      wire?.close();
    } else if (this.phase.phase === "open") {
      const silent_ms = now - this.heard_ms;
      if (silent_ms > DEAD_AFTER_MS) {
        const wire = this.wire;
        this.lost(1006);
        wire?.close(4000, "silent");
      } else if (silent_ms >= PING_AFTER_MS && now - this.pinged_ms >= PING_AFTER_MS) {
        this.pinged_ms = now;
        this.say({ op: "ping" });
      }
    }
  }

  private heard(): void {
    this.heard_ms = this.now();
  }

  private say(fields: Record<string, unknown>, answer?: { ack?: () => void; error: (problem: Problem) => void }): void {
    if (this.phase.phase !== "open" || !this.wire) return;
    const id = this.nextId++;
    if (answer) this.asked.set(id, answer);
    this.wire.send(JSON.stringify({ ...fields, id }));
  }

  private prove(): void {
    this.say(
      { op: "auth", token: this.token },
      {
        ack: () => {
          this.proved = true;
          for (const subscription of this.subscriptions.values()) this.sendSubscription(subscription);
        },
        error: () => this.hooks.needToken(),
      },
    );
  }

  private sendSubscription(subscription: Subscription): void {
    if (subscription.sent || this.phase.phase !== "open") return;
    if (PRIVATE.has(subscription.fields.channel) && !this.proved) return;
    subscription.sent = true;
    const resume: Record<string, unknown> = {};
    for (const listener of subscription.listeners) Object.assign(resume, listener.resume?.());
    this.say(
      { op: "subscribe", ...subscription.fields, ...resume },
      {
        error: (problem) => {
          for (const listener of subscription.listeners) listener.refused?.(problem);
        },
      },
    );
  }

  private receive(data: unknown): void {
    let message: ServerMessage;
    try {
      message = JSON.parse(String(data)) as ServerMessage;
    } catch {
      return;
    }
    this.heard();
    // A refusal is no success: a token that is refused again and again must not make the tries come fast.
    if (message.type !== "error") this.attempt = 0;
    if (message.type === "ack") {
      const asked = this.asked.get(message.id);
      this.asked.delete(message.id);
      asked?.ack?.();
    } else if (message.type === "error") {
      const asked = message.id === undefined ? undefined : this.asked.get(message.id);
      if (message.id !== undefined) this.asked.delete(message.id);
      asked?.error(message.problem);
    } else if (message.type === "auth_expiring") {
      this.hooks.needToken();
    } else if (message.type !== "pong") {
      for (const key of keysFor(message)) {
        for (const listener of this.subscriptions.get(key)?.listeners ?? []) deliver(listener, message);
      }
    }
  }
}

/** A listener that fails on a message must not keep it from the others. */
function deliver(listener: Listener, message: ServerMessage): void {
  try {
    listener.message(message);
  } catch (error) {
    console.error(`A ${message.type} message could not be used.`, error);
  }
}

/** The subscriptions that a message belongs to. */
function keysFor(message: ServerMessage): string[] {
  switch (message.type) {
    case "depth":
      return [keyOf({ channel: "depth", instrument: message.instrument, levels: message.levels })];
    case "trade":
      return [keyOf({ channel: "trades", instrument: message.instrument })];
    case "candle":
      return [keyOf({ channel: "candles", instrument: message.instrument, interval: message.interval })];
    case "ticker":
      return [
        keyOf({ channel: "ticker", instrument: message.instrument }),
        keyOf({ channel: "ticker", instrument: "*" }),
      ];
    case "status":
      return [keyOf({ channel: "status", instrument: message.instrument })];
    case "order":
    case "fill":
    case "balance":
    case "account":
      return [keyOf({ channel: "account" })];
    case "pipeline":
      return [keyOf({ channel: "pipeline" })];
    default:
      return [];
  }
}
