/**
 * The typed REST client. It knows no state of the page: the session gives it the token and renews it.
 * Absent: the WebSocket (`live/socket.ts`).
 */
import { NoAnswerError, ProblemError } from "./problems";
import type {
  Analytics,
  ApiKey,
  Balance,
  Candle,
  Commanded,
  CreationOptionsWire,
  Fill,
  InstrumentWire,
  Interval,
  Me,
  NewApiKey,
  Order,
  Pipeline,
  PlaceOrder,
  Placed,
  Problem,
  Scope,
  SecondFactor,
  SessionAnswer,
  Ticker,
  Trade,
} from "./types";

const TIMEOUT_MS = 15_000;

export interface TokenSource {
  token(): string | null;
  /** Brings a new token after a 401; false where the session has ended. */
  renew(): Promise<boolean>;
}

type Query = Record<string, string | number | undefined>;
interface Call {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  query?: Query;
  headers?: Record<string, string>;
  /** Without it no token is sent: market data, log-in. */
  open?: boolean;
}

const part = encodeURIComponent;

export class Client {
  constructor(
    private readonly tokens: TokenSource,
    private readonly send: typeof fetch = (...args) => fetch(...args),
  ) {}

  private async once(path: string, call: Call): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/json", ...call.headers };
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    const token = call.open ? null : this.tokens.token();
    if (token) headers.Authorization = `Bearer ${token}`;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const url = query.size ? `${path}?${query}` : path;
    try {
      return await this.send(url, {
        method: call.method ?? "GET",
        headers,
        body: call.body === undefined ? undefined : JSON.stringify(call.body),
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw new NoAnswerError();
    }
  }

  /** One call; a 401 with a token is tried once more with a renewed one. Throws `ProblemError` or `NoAnswerError`. */
  private async call<T>(path: string, call: Call = {}): Promise<T> {
    let response = await this.once(path, call);
    if (response.status === 401 && !call.open && (await this.tokens.renew())) response = await this.once(path, call);
    if (response.status === 204) return undefined as T;
    if (!response.ok) throw new ProblemError(await problemOf(response));
    try {
      const text = await response.text();
      return (text === "" ? undefined : JSON.parse(text)) as T;
    } catch {
      throw new NoAnswerError();
    }
  }

  // ---- identity ----
  signUp = (body: { login: string; password: string; display_name?: string }) =>
    this.call<{ user_id: string; account: string; login: string }>("/v1/users", { method: "POST", body, open: true });
  logIn = (body: { login: string; password: string }) =>
    this.call<SessionAnswer | { second_factor: SecondFactor }>("/v1/sessions", { method: "POST", body, open: true });
  secondFactorLogIn = (body: { challenge: string; credential: unknown }) =>
    this.call<SessionAnswer>("/v1/sessions/second-factor", { method: "POST", body, open: true });
  /** Undefined where the browser has no session. */
  refresh = () =>
    this.call<SessionAnswer | undefined>("/v1/sessions/refresh", {
      method: "POST",
      headers: { "X-Tapeline-Csrf": "1" },
      open: true,
    });
  logOut = () => this.call<void>("/v1/sessions/current", { method: "DELETE", headers: { "X-Tapeline-Csrf": "1" } });
  me = () => this.call<Me>("/v1/me");
  passkeyOptions = () =>
    this.call<{ challenge: string; public_key: CreationOptionsWire }>("/v1/passkeys/options", { method: "POST" });
  addPasskey = (body: { challenge: string; credential: unknown; label: string }) =>
    this.call<void>("/v1/passkeys", { method: "POST", body });
  removePasskey = (id: string) => this.call<void>(`/v1/passkeys/${part(id)}`, { method: "DELETE" });
  secondFactorOptions = () => this.call<SecondFactor>("/v1/second-factor/options", { method: "POST" });
  secondFactor = (body: { challenge: string; credential: unknown }) =>
    this.call<SessionAnswer>("/v1/second-factor", { method: "POST", body });
  apiKeys = async () => (await this.call<{ api_keys: ApiKey[] }>("/v1/api-keys")).api_keys;
  addApiKey = (body: { label: string; scopes: Scope[]; expires_in_days: number }) =>
    this.call<NewApiKey>("/v1/api-keys", { method: "POST", body });
  removeApiKey = (id: string) => this.call<void>(`/v1/api-keys/${part(id)}`, { method: "DELETE" });

  // ---- orders and money ----
  place = (body: PlaceOrder) => this.call<Placed>("/v1/orders", { method: "POST", body });
  amend = (target: string, body: { client_order_id: string; quantity?: string; price?: string }) =>
    this.call<Commanded>(`/v1/orders/${part(target)}`, { method: "PATCH", body });
  cancel = (target: string, request_id: string) =>
    this.call<Commanded>(`/v1/orders/${part(target)}`, { method: "DELETE", query: { request_id } });
  cancelAll = (instrument: string, request_id: string) =>
    this.call<Commanded>("/v1/orders", { method: "DELETE", query: { instrument, request_id } });
  orders = (query: { status: "open" | "all"; instrument?: string; limit?: number; before?: string }) =>
    this.call<{ orders: Order[]; next_before?: string | null }>("/v1/orders", { query });
  order = (client_order_id: string, position?: string) =>
    this.call<Order>(`/v1/orders/${part(client_order_id)}`, { query: { position } });
  fills = async (query: { instrument?: string; limit?: number; before?: string }) =>
    (await this.call<{ fills: Fill[] }>("/v1/fills", { query })).fills;
  balances = async () => (await this.call<{ balances: Balance[] }>("/v1/balances")).balances;
  deposit = (body: { asset: string; amount: string; client_order_id: string }) =>
    this.call<Commanded>("/v1/deposits", { method: "POST", body });
  withdraw = (body: { asset: string; amount: string; client_order_id: string }) =>
    this.call<Commanded>("/v1/withdrawals", { method: "POST", body });

  // ---- market data ----
  instruments = async () =>
    (await this.call<{ instruments: InstrumentWire[] }>("/v1/instruments", { open: true })).instruments;
  trades = async (symbol: string, limit: number) =>
    (await this.call<{ trades: Trade[] }>(`/v1/instruments/${part(symbol)}/trades`, { query: { limit }, open: true }))
      .trades;
  candles = async (symbol: string, query: { interval: Interval; limit: number; to_ms?: number }) =>
    (await this.call<{ candles: Candle[] }>(`/v1/instruments/${part(symbol)}/candles`, { query, open: true })).candles;
  tickers = async () => (await this.call<{ tickers: Ticker[] }>("/v1/tickers", { open: true })).tickers;
  analytics = (hours: number) => this.call<Analytics>("/v1/analytics", { query: { hours } });
  pipeline = () => this.call<Pipeline>("/v1/pipeline");
}

async function problemOf(response: Response): Promise<Problem> {
  const fallback: Problem = {
    code: `http_${response.status}`,
    status: response.status,
    detail: `The gateway answered with status ${response.status}. Try again in a moment.`,
  };
  try {
    const body: unknown = await response.json();
    if (typeof body !== "object" || body === null) return fallback;
    const problem = { ...fallback, ...(body as Partial<Problem>) };
    return typeof problem.code === "string" ? problem : { ...problem, code: fallback.code };
  } catch {
    return fallback;
  }
}
