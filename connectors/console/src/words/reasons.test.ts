import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isInDoubt, problemSentence, sentenceOf, NoAnswerError, ProblemError } from "../api/problems";
import { CANCEL_SENTENCES, fullReason, reasonSentence, REFUSE_SENTENCES, REJECT_SENTENCES } from "./reasons";

/** The symbols of an enum in one of the repository's schemas, UNKNOWN left out, as the gateway spells them. */
function symbols(schema: string, name: string): string[] {
  const text = readFileSync(new URL(`../../../../schemas/${schema}.avsc`, import.meta.url), "utf8");
  const found: string[][] = [];
  JSON.parse(text, (_key, value: { type?: unknown; name?: unknown; symbols?: string[] }) => {
    if (value?.type === "enum" && value.name === name && value.symbols) found.push(value.symbols);
    return value;
  });
  return (found[0] ?? []).filter((symbol) => symbol !== "UNKNOWN").map((symbol) => symbol.toLowerCase());
}

describe("each code of the schemas has a sentence, and no sentence is left over", () => {
  test.each([
    ["orders.rejected", "RejectReason", REJECT_SENTENCES, 24],
    ["trades.executed", "CancelReason", CANCEL_SENTENCES, 8],
    ["trades.executed", "RefuseReason", REFUSE_SENTENCES, 4],
  ])("%s %s", (schema, name, sentences, count) => {
    const codes = symbols(schema, name);
    expect(codes.length).toBeGreaterThanOrEqual(count);
    expect(Object.keys(sentences).sort()).toEqual(codes.sort());
    for (const sentence of Object.values(sentences)) expect(sentence).toMatch(/^[A-Z].{10,}\.$/);
  });
});

test("codes of docs/publishing.md are spelled as in the schemas", () => {
  const text = readFileSync(new URL("../../../../docs/publishing.md", import.meta.url), "utf8");
  const part = text.slice(text.indexOf("\n## Reject reasons"), text.indexOf("\n## Bad records"));
  const codes = [...part.matchAll(/^\|([^|]+)\|/gm)].flatMap(([, cell = ""]) => [...cell.matchAll(/`([A-Z_]+)`/g)]);
  const named = new Set(codes.map(([, code = ""]) => code.toLowerCase()));
  expect([...named].sort()).toEqual(Object.keys(REJECT_SENTENCES).sort());
});

test("a reason in capitals is understood, one that is newer than the console is shown as words", () => {
  expect(reasonSentence("INVALID_TICK")).toBe(REJECT_SENTENCES.invalid_tick);
  expect(reasonSentence("moon_phase")).toBe('The exchange gave the reason "moon phase".');
  expect(reasonSentence(null)).toBeNull();
});

test("the exchange's own text follows the sentence, or stands alone", () => {
  expect(fullReason("post_only", "At 20.01.")).toBe(`${CANCEL_SENTENCES.post_only} At 20.01.`);
  expect(fullReason(null, "Because.")).toBe("Because.");
  expect(fullReason(null, null)).toBe("No reason was given.");
});

describe("problems become sentences", () => {
  test.each([
    [{ code: "login_taken" }, "This login is taken. Choose another one."],
    [{ code: "insufficient_funds" }, REJECT_SENTENCES.insufficient_funds],
    [{ code: "bad_field", detail: "The field price is missing." }, "The field price is missing."],
    [{ code: "slow", detail: "Slow down.", retry_after_s: 3 }, "Slow down. Try again in 3 s."],
    [{ code: "rate_limited", status: 429, retry_after_s: 7 }, "That was too often. Try again in 7 s."],
    [{ code: "rate_limited", status: 429 }, "That was too often. Wait a moment and try again."],
    [{ code: "view_away", status: 503, detail: "the database is away: try again" }, "The database is away: try again."],
    [{ code: "odd" }, "The gateway refused this (odd)."],
  ])("%j", (problem, sentence) => {
    expect(problemSentence(problem)).toBe(sentence);
    expect(sentenceOf(new ProblemError(problem))).toBe(sentence);
  });

  test.each([
    ["no answer", new NoAnswerError(), true],
    ["an answer that does not tell", new ProblemError({ code: "outcome_unknown", status: 503 }), true],
    ["a proxy's failure", new ProblemError({ code: "http_502", status: 502 }), true],
    ["a gateway that is starting", new ProblemError({ code: "starting", status: 503 }), false],
    ["a refusal", new ProblemError({ code: "invalid_tick", status: 422 }), false],
    ["too many requests", new ProblemError({ code: "too_many_requests", status: 429 }), false],
  ])("%s leaves a command in doubt or not", (_name, error, doubt) => {
    expect(isInDoubt(error)).toBe(doubt);
  });

  test("a missing answer and a closed passkey prompt have theirs", () => {
    expect(sentenceOf(new NoAnswerError())).toContain("did not answer");
    expect(sentenceOf(Object.assign(new Error("x"), { name: "NotAllowedError" }))).toContain("passkey");
  });
});
