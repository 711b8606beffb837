import { describe, expect, test } from "vitest";
import { MAX_UNITS, parseAmount, placesOf, show, units, wire } from "./units";

test.each([
  ["0", 0n],
  ["1", 100_000_000n],
  ["101.25", 10_125_000_000n],
  ["0.00000001", 1n],
  ["-0.5", -50_000_000n],
  ["9999999999.99999999", MAX_UNITS],
])("%s on the wire is %d units and goes back as it came", (text, value) => {
  expect(units(text)).toBe(value);
  expect(wire(value)).toBe(text);
});

test.each(["", "1e3", "1,5", "abc", "0.000000001", " 1", "--1", "1."])("%j on the wire is refused", (text) => {
  expect(() => units(text)).toThrow(TypeError);
});

test("a number that floats can't hold stays exact", () => {
  expect(wire(units("90071992.54740993") + 1n)).toBe("90071992.54740994");
});

test.each([
  ["1234567.5", 2, "1,234,567.50"],
  ["1234.12345678", 2, "1,234.12345678"],
  ["999", 0, "999"],
  ["1000", 0, "1,000"],
  ["-1234.5", 0, "-1,234.5"],
  ["0", 2, "0.00"],
])("%s with at least %d places is shown as %s", (text, places, shown) => {
  expect(show(units(text), places)).toBe(shown);
});

test.each([
  ["1", 0],
  ["0.01", 2],
  ["0.5", 1],
  ["0.0000001", 7],
])("a step of %s has %d places", (step, places) => {
  expect(placesOf(units(step))).toBe(places);
});

describe("what a person types", () => {
  test.each([
    ["1.5", "1.5"],
    [" 2 ", "2"],
    [".5", "0.5"],
    ["3.", "3"],
    ["1,234.5", "1234.5"],
    ["1,234,567", "1234567"],
    ["0.100000000000", "0.1"],
  ])("%j is read as %s", (text, value) => {
    expect(parseAmount(text, "Price")).toEqual({ ok: true, value: units(value) });
  });

  test.each([
    ["", "Price is missing."],
    ["1,5", "Price: use a point for decimals, such as 1.5."],
    ["abc", "Price must be a number, such as 1.5."],
    ["-1", "Price must be a number, such as 1.5."],
    ["1e9", "Price must be a number, such as 1.5."],
    [".", "Price must be a number, such as 1.5."],
    ["0.123456789", "Price has more than 8 decimals."],
    ["10000000000", "Price must be below 10,000,000,000."],
  ])("%j is refused: %s", (text, sentence) => {
    expect(parseAmount(text, "Price")).toEqual({ ok: false, sentence });
  });
});
