import { describe, expect, test, vi } from "vitest";
import { Client } from "./client";
import { NoAnswerError, ProblemError } from "./problems";
import { fromBase64Url, toBase64Url } from "./webauthn";

interface Sent {
  url: string;
  init: RequestInit;
}

/** A client whose calls get these answers one after the other. */
function clientWith(answers: (Response | Error)[], renewed = true) {
  const sent: Sent[] = [];
  const send = (async (url: string, init: RequestInit) => {
    sent.push({ url, init });
    const next = answers.shift();
    if (!next || next instanceof Error) throw next ?? new Error("no answer is left");
    return next;
  }) as typeof fetch;
  const renew = vi.fn(async () => renewed);
  return { client: new Client({ token: () => "secret", renew }, send), sent, renew };
}
const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status });
const header = (sent: Sent | undefined, name: string) => (sent?.init.headers as Record<string, string>)[name];

test("private calls carry the token, open ones do not", async () => {
  const { client, sent } = clientWith([json(200, { balances: [] }), json(200, { tickers: [] })]);
  await client.balances();
  await client.tickers();
  expect(header(sent[0], "Authorization")).toBe("Bearer secret");
  expect(header(sent[1], "Authorization")).toBeUndefined();
});

test("a refresh carries the header against forged requests", async () => {
  const { client, sent } = clientWith([json(200, {})]);
  await client.refresh();
  expect(header(sent[0], "X-Tapeline-Csrf")).toBe("1");
  expect(sent[0]?.init.credentials).toBe("same-origin");
});

test("names are encoded into paths, absent query fields are left out", async () => {
  const { client, sent } = clientWith([json(200, { trades: [] }), json(200, { orders: [] })]);
  await client.trades("A/B?<x>", 5);
  await client.orders({ status: "all", before: undefined });
  expect(sent.map(({ url }) => url)).toEqual([
    "/v1/instruments/A%2FB%3F%3Cx%3E/trades?limit=5",
    "/v1/orders?status=all",
  ]);
});

describe("a 401", () => {
  test("renews the token and tries once more", async () => {
    const { client, renew } = clientWith([json(401, { code: "expired" }), json(200, { fills: [] })]);
    expect(await client.fills({})).toEqual([]);
    expect(renew).toHaveBeenCalledTimes(1);
  });

  test("stands where the session has ended, and is not tried a third time", async () => {
    await expect(clientWith([json(401, { code: "expired" })], false).client.me()).rejects.toBeInstanceOf(ProblemError);
    const twice = clientWith([json(401, { code: "expired" }), json(401, { code: "expired" })]);
    await expect(twice.client.me()).rejects.toMatchObject({ problem: { code: "expired", status: 401 } });
    expect(twice.renew).toHaveBeenCalledTimes(1);
  });

  test("of a log-in means wrong credentials and renews nothing", async () => {
    const { client, renew } = clientWith([json(401, { code: "wrong_credentials" })]);
    await expect(client.logIn({ login: "a", password: "b" })).rejects.toBeInstanceOf(ProblemError);
    expect(renew).not.toHaveBeenCalled();
  });
});

test("errors without problem details still make a problem, and a broken connection is no answer", async () => {
  const page = new Response("<html>Bad gateway</html>", { status: 502 });
  await expect(clientWith([page]).client.me()).rejects.toMatchObject({ problem: { code: "http_502", status: 502 } });
  await expect(clientWith([new TypeError("failed")]).client.me()).rejects.toBeInstanceOf(NoAnswerError);
  await expect(clientWith([new Response("{", { status: 200 })]).client.me()).rejects.toBeInstanceOf(NoAnswerError);
});

test("base64url goes both ways, with and without padding needs", () => {
  for (const bytes of [[], [0], [255, 254], [1, 2, 3], [62, 63, 191, 255, 0]]) {
    const text = toBase64Url(Uint8Array.from(bytes).buffer);
    expect(text).not.toMatch(/[+/=]/);
    expect([...fromBase64Url(text)]).toEqual(bytes);
  }
  expect(toBase64Url(Uint8Array.from([251, 255]).buffer)).toBe("-_8");
});
