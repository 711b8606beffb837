import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** Answers of the gateway by "METHOD /path", each used until it is replaced. */
let answers: Map<string, () => Response | Promise<Response>>;
let calls: string[];
let session: typeof import("./session");
let tokens: (string | null)[];

const json = (status: number, body: unknown) => () => new Response(JSON.stringify(body), { status });
const entered = (access_token: string, user_id = "u1") =>
  json(200, { access_token, expires_in_s: 300, user: { user_id, account: "a", login: "ann", roles: [] } });
const broken = () => {
  throw new TypeError("no network");
};
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  answers = new Map();
  calls = [];
  tokens = [];
  vi.stubGlobal("window", {});
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    const call = `${init.method} ${url}`;
    calls.push(call);
    return (answers.get(call) ?? broken)();
  });
  session = await import("./session");
  session.onToken((token) => tokens.push(token));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const REFRESH = "POST /v1/sessions/refresh";
const phase = () => session.session.value.phase;

test("a cookie brings the session back on load, without one the visitor is out and nobody is told why", async () => {
  answers.set(REFRESH, json(401, { code: "expired" }));
  session.start();
  await settle();
  expect(session.session.value).toEqual({ phase: "out", sentence: null });
  answers.set(REFRESH, entered("t1"));
  await session.renew();
  expect(phase()).toBe("in");
  expect(tokens).toEqual([null, null, "t1"]);
});

test("a browser without a session is told so without an error, and one that had lost it in between is told why", async () => {
  const none = () => new Response(null, { status: 204 });
  answers.set(REFRESH, none);
  session.start();
  await settle();
  expect(session.session.value).toEqual({ phase: "out", sentence: null });
  answers.set(REFRESH, entered("t1"));
  await session.renew();
  answers.set(REFRESH, none);
  expect(await session.renew()).toBe(false);
  expect(session.session.value).toEqual({ phase: "out", sentence: "Your session has ended. Log in again." });
});

test("the token is renewed a minute before its end, and again", async () => {
  answers.set(REFRESH, entered("t1"));
  session.start();
  await settle();
  answers.set(REFRESH, entered("t2"));
  await vi.advanceTimersByTimeAsync(239_000);
  expect(tokens.at(-1)).toBe("t1");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(tokens.at(-1)).toBe("t2");
  answers.set(REFRESH, entered("t3"));
  await vi.advanceTimersByTimeAsync(241_000);
  expect(tokens.at(-1)).toBe("t3");
});

test("whoever asks at the same time gets one renewal: a refresh token may be used once", async () => {
  answers.set(REFRESH, entered("t1"));
  expect(await Promise.all([session.renew(), session.renew(), session.renew()])).toEqual([true, true, true]);
  expect(calls).toEqual([REFRESH]);
});

test("a lock serves tabs one after the other", async () => {
  const request = vi.fn((_name: string, work: () => Promise<boolean>) => work());
  vi.stubGlobal("navigator", { locks: { request } });
  answers.set(REFRESH, entered("t1"));
  await session.renew();
  expect(request).toHaveBeenCalledWith("tapeline.refresh", expect.any(Function));
});

test("a gateway that is away ends no session; the next try comes by itself", async () => {
  answers.set(REFRESH, entered("t1"));
  await session.renew();
  answers.set(REFRESH, broken);
  expect(await session.renew()).toBe(false);
  expect(phase()).toBe("in");
  answers.set(REFRESH, entered("t2"));
  await vi.advanceTimersByTimeAsync(3_100);
  expect(tokens.at(-1)).toBe("t2");
});

test("a gateway that asks to wait is not asked sooner", async () => {
  answers.set(REFRESH, json(429, { code: "too_many_requests", retry_after_s: 20 }));
  await session.renew();
  await vi.advanceTimersByTimeAsync(19_000);
  expect(calls.length).toBe(1);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(calls.length).toBe(2);
});

test("a session that was ended elsewhere says so and takes the token back", async () => {
  answers.set(REFRESH, entered("t1"));
  await session.renew();
  answers.set(REFRESH, json(401, { code: "token_reused" }));
  await session.renew();
  expect(session.session.value).toMatchObject({ phase: "out", sentence: expect.stringContaining("ended for safety") });
  expect(tokens.at(-1)).toBeNull();
});

test("when another tab became somebody else, the first account's state is dropped before", async () => {
  answers.set(REFRESH, entered("t1", "u1"));
  await session.renew();
  answers.set(REFRESH, entered("t2", "u2"));
  await session.renew();
  expect(tokens).toEqual([null, "t1", null, "t2"]);
});

test("with passkeys a password alone gives no token", async () => {
  answers.set("POST /v1/sessions", json(200, { second_factor: { challenge: "c", public_key: { challenge: "x" } } }));
  await session.logIn("ann", "secret");
  expect(phase()).toBe("factor");
  expect(tokens).toEqual([null]);
  session.giveUpFactor();
  expect(phase()).toBe("out");
});

test("a log-out counts here even if the gateway can't be told, and renews nothing afterwards", async () => {
  answers.set(REFRESH, entered("t1"));
  await session.renew();
  expect(await session.logOut()).toContain("could not be told");
  expect(phase()).toBe("out");
  expect(tokens.at(-1)).toBeNull();
  calls = [];
  await vi.advanceTimersByTimeAsync(600_000);
  expect(calls).toEqual([]);
});
