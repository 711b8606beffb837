/**
 * A stand-in for the gateway, for `npm run dev` and `npm run preview` without one: enough of its interface to look at
 * every page and to walk through an order's life. It checks little and forgets all at its end. Not part of the build.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server } from "node:http";
import type { Connect, Plugin } from "vite";
import { WebSocketServer, type WebSocket } from "ws";
import type { Interval } from "../src/api/types";
import { units } from "../src/money/units";
import { Desk, orderWire } from "./desk";
import { INSTRUMENTS, Market } from "./market";
import { analytics, pipeline } from "./views";

/** As the gateway will serve it, so that a page that would break under it breaks here. */
const CSP = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

const markets = new Map(INSTRUMENTS.map((about) => [about.symbol, new Market(about)]));
interface Person {
  login: string;
  password: string;
  display_name?: string;
  passkeys: { id: string; label: string; created_ms: number }[];
  confirmed_ms: number;
  keys: { key_id: string; label: string; scopes: string[]; created_ms: number; expires_ms: number }[];
  desk: Desk;
}
const people = new Map<string, Person>();
const cookies = new Map<string, Person>();
const tokens = new Map<string, Person>();
interface Link {
  socket: WebSocket;
  channels: Set<string>;
  person: Person | null;
}
const links = new Set<Link>();

const send = (link: Link, message: unknown) => link.socket.send(JSON.stringify(message));
const random = () => Math.random().toString(36).slice(2);

function broadcast(channel: string, message: unknown): void {
  for (const link of links) if (link.channels.has(channel)) send(link, message);
}

function beat(): void {
  for (const [symbol, market] of markets) {
    if (market.about.status !== "open") continue;
    const { depth, trades } = market.move();
    broadcast(`depth/${symbol}`, depth);
    for (const { traded_ms, ...trade } of trades) {
      broadcast(`trades/${symbol}`, {
        type: "trade",
        instrument: symbol,
        sequence: depth.sequence,
        time_ms: traded_ms,
        ...trade,
      });
    }
    const ticker = { type: "ticker", ...market.ticker() };
    broadcast(`ticker/${symbol}`, ticker);
    broadcast("ticker/*", ticker);
    for (const [interval, candles] of market.candles) {
      broadcast(`candles/${symbol}/${interval}`, { type: "candle", instrument: symbol, interval, ...candles.at(-1) });
    }
  }
}

function makePerson(login: string, password: string, display_name?: string): Person {
  const person: Person = {
    login,
    password,
    display_name,
    keys: [],
    passkeys: [],
    confirmed_ms: 0,
    desk: undefined as unknown as Desk,
  };
  person.desk = new Desk(
    (message) =>
      links.forEach((link) => link.person === person && link.channels.has("account/") && send(link, message)),
    (symbol) => markets.get(symbol),
  );
  people.set(login, person);
  return person;
}
const user = ({ login, display_name }: Person) => ({
  user_id: `u-${login}`,
  account: `acc-${login}`,
  login,
  display_name: display_name ?? null,
  roles: ["trader", "operator"],
});

const challenge = () => Buffer.from(random() + random()).toString("base64url");
const assertion = ({ passkeys }: Person) => ({
  challenge: "opaque",
  public_key: {
    challenge: challenge(),
    rpId: "localhost",
    allowCredentials: passkeys.map(({ id }) => ({ id, type: "public-key" })),
  },
});
const creation = ({ login }: Person) => ({
  challenge: "opaque",
  public_key: {
    challenge: challenge(),
    rp: { id: "localhost", name: "Tapeline" },
    user: { id: Buffer.from(login).toString("base64url"), name: login, displayName: login },
    pubKeyCredParams: [
      { type: "public-key", alg: -7 },
      { type: "public-key", alg: -257 },
    ],
  },
});

type Answer = { status: number; body?: unknown; cookie?: string };
const ok = (body: unknown, status = 200): Answer => ({ status, body });
const no = (status: number, code: string, detail?: string): Answer => ({
  status,
  body: { type: `https://tapeline.dev/problems/${code}`, title: code, status, code, detail },
});

function enter(person: Person): Answer {
  const [token, cookie] = [random(), random()];
  tokens.set(token, person);
  cookies.set(cookie, person);
  return { ...ok({ access_token: token, token_type: "Bearer", expires_in_s: 300, user: user(person) }), cookie };
}

function answer(method: string, url: URL, body: any, request: IncomingMessage): Answer {
  const path = url.pathname.slice(3);
  const call = `${method} ${path}`;
  const cookie = /tapeline_refresh=(\w+)/.exec(request.headers.cookie ?? "")?.[1] ?? "";
  const [, kind, name = "", part] = path.split("/").map(decodeURIComponent);
  if (call === "POST /users") {
    if (people.has(body.login)) return no(409, "login_taken");
    return ok(user(makePerson(body.login, body.password, body.display_name)), 201);
  }
  if (call === "POST /sessions") {
    const person = people.get(body.login);
    if (person?.password !== body.password) return no(401, "wrong_credentials");
    return person?.passkeys.length ? ok({ second_factor: assertion(person) }) : enter(person as Person);
  }
  if (call === "POST /sessions/second-factor") {
    const person = [...people.values()].find((one) => one.passkeys.some((key) => key.id === body.credential.id));
    return person ? enter(person) : no(401, "wrong_credentials");
  }
  if (call === "POST /sessions/refresh") {
    const person = cookies.get(cookie);
    if (!cookie) return { status: 204, cookie: "" };
    return person ? enter(person) : no(401, "expired");
  }
  if (call === "DELETE /sessions/current") {
    cookies.delete(cookie);
    return { status: 204, cookie: "" };
  }
  if (call === "GET /instruments") return ok({ instruments: INSTRUMENTS });
  if (call === "GET /tickers") return ok({ tickers: [...markets.values()].map((market) => market.ticker()) });
  const market = markets.get(name);
  if (kind === "instruments" && market) {
    if (part === "trades") return ok({ trades: market.trades });
    if (part === "depth") return ok(market.snapshot());
    const before = Number(url.searchParams.get("to_ms") ?? Infinity);
    const candles = market.candles.get(url.searchParams.get("interval") as Interval) ?? [];
    return ok({ candles: candles.filter((candle) => candle.bucket_ms <= before) });
  }
  const person = tokens.get((request.headers.authorization ?? "").replace("Bearer ", ""));
  return person ? privately(call, kind ?? "", name, body, url, person) : no(401, "expired");
}

function privately(call: string, kind: string, name: string, body: any, url: URL, person: Person): Answer {
  const { desk } = person;
  const taken = { command_id: random(), position: "p" };
  switch (call.split(" ")[0] + " " + kind) {
    case "GET me":
      return ok({ ...user(person), passkeys: person.passkeys });
    case "POST passkeys":
      if (name === "options") return ok(creation(person));
      person.passkeys.push({ id: body.credential.id, label: body.label, created_ms: Date.now() });
      return ok({}, 201);
    case "DELETE passkeys":
      person.passkeys = person.passkeys.filter((key) => key.id !== name);
      return { status: 204 };
    case "POST second-factor":
      if (name === "options") return ok(assertion(person));
      person.confirmed_ms = Date.now();
      return enter(person);
    case "POST orders":
      return ok({ ...desk.place(body), client_order_id: body.client_order_id, status: "pending" }, 202);
    case "PATCH orders":
      desk.amend(name, body);
      return ok(taken, 202);
    case "DELETE orders": {
      const request_id = url.searchParams.get("request_id") ?? "";
      const all = desk.openOrders().filter((order) => order.instrument === url.searchParams.get("instrument"));
      for (const id of name ? [name] : all.map((order) => order.client_order_id)) desk.cancel(id, request_id);
      return ok(taken, 202);
    }
    case "GET orders": {
      if (!name) return ok({ orders: [...desk.orders.values()].reverse().map(orderWire) });
      const order = desk.orders.get(name);
      return order ? ok(orderWire(order)) : no(404, "unknown_order");
    }
    case "GET fills":
      return ok({ fills: desk.fills });
    case "POST deposits":
      desk.transfer("deposit", body.asset, units(body.amount), body.client_order_id);
      return ok(taken, 202);
    case "POST withdrawals":
      if (person.passkeys.length && Date.now() - person.confirmed_ms > 3e5) return no(403, "second_factor_needed");
      desk.transfer("withdrawal", body.asset, units(body.amount), body.client_order_id);
      return ok(taken, 202);
    case "GET api-keys":
      return ok({ api_keys: person.keys });
    case "POST api-keys": {
      const [key_id, created_ms] = [random(), Date.now()];
      const key = {
        key_id,
        label: body.label,
        scopes: body.scopes,
        created_ms,
        expires_ms: created_ms + body.expires_in_days * 864e5,
      };
      person.keys.push(key);
      return ok({ ...key, api_key: `tlk_${key_id}_${random()}${random()}` }, 201);
    }
    case "DELETE api-keys":
      person.keys = person.keys.filter((key) => key.key_id !== name);
      return { status: 204 };
    case "GET analytics":
      return ok(analytics(Number(url.searchParams.get("hours"))));
    case "GET pipeline":
      return ok(pipeline());
    default:
      return no(404, "unknown_call", `The stand-in does not know ${call}.`);
  }
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  const url = new URL(request.url ?? "/", "http://localhost");
  const { status, body, cookie } = answer(request.method ?? "GET", url, text ? JSON.parse(text) : {}, request);
  response.statusCode = status;
  response.setHeader("Content-Type", status < 400 ? "application/json" : "application/problem+json");
  if (cookie !== undefined) {
    response.setHeader("Set-Cookie", `tapeline_refresh=${cookie}; HttpOnly; SameSite=Strict; Path=/v1/sessions`);
  }
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function receive(link: Link, message: any): void {
  const { op, id, channel, instrument = "", interval } = message;
  const key = [channel, instrument, ...(interval ? [interval] : [])].join("/");
  if (op === "ping") return send(link, { type: "pong", id });
  if (op === "auth") {
    link.person = tokens.get(message.token) ?? null;
    const problem = { code: "expired", status: 401 };
    return send(link, link.person ? { type: "ack", id } : { type: "error", id, problem });
  }
  send(link, { type: "ack", id });
  if (op === "unsubscribe") link.channels.delete(key);
  if (op !== "subscribe") return;
  link.channels.add(key);
  if (channel === "depth") send(link, markets.get(instrument)?.snapshot());
  if (channel === "account") send(link, link.person?.desk.snapshot());
}

function attach(http: Server, middlewares: Connect.Server): void {
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "tapeline.v1" });
  http.on("upgrade", (request, socket, head) => {
    if (request.url !== "/v1/ws") return;
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const link: Link = { socket: ws, channels: new Set(), person: null };
      links.add(link);
      ws.on("message", (data) => receive(link, JSON.parse(String(data))));
      ws.on("close", () => links.delete(link));
    });
  });
  middlewares.use((request, response, next) => {
    if (request.url?.startsWith("/v1/")) void handle(request, response);
    else next();
  });
  const timers = [
    setInterval(beat, 250),
    setInterval(() => broadcast("pipeline/", { type: "pipeline", ...pipeline() }), 1000),
  ];
  http.on("close", () => timers.forEach(clearInterval));
}

export function mockGateway(): Plugin {
  return {
    name: "tapeline-mock-gateway",
    apply: "serve",
    configureServer: ({ httpServer, middlewares }) => {
      if (httpServer) attach(httpServer as Server, middlewares);
    },
    configurePreviewServer: ({ httpServer, middlewares }) => {
      middlewares.use((_request, response, next) => {
        response.setHeader("Content-Security-Policy", CSP);
        next();
      });
      attach(httpServer as Server, middlewares);
    },
  };
}
