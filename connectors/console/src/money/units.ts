/**
 * Amounts as whole numbers of 10^-8, the unit of all topics. Money is never a float here; floats are made only to draw.
 * Absent: rules about orders (`funds.ts`, `check.ts`).
 */

/** A price, quantity or amount in units of 10^-8. */
export type Units = bigint;

/** The unit 1 in units of 10^-8. */
export const ONE: Units = 100_000_000n;
/** The largest amount that Tapeline takes: below 10,000,000,000. */
export const MAX_UNITS: Units = 10_000_000_000n * ONE - 1n;

const WIRE = /^-?\d{1,30}(\.\d{1,8})?$/;

/** Units of a decimal string from the gateway. Throws a `TypeError` where it is none: that is a defect of the gateway. */
export function units(wire: string): Units {
  if (typeof wire !== "string" || !WIRE.test(wire)) {
    throw new TypeError(`The gateway sent ${JSON.stringify(wire)} where a decimal amount was expected.`);
  }
  const negative = wire.startsWith("-");
  const [whole = "0", fraction = ""] = (negative ? wire.slice(1) : wire).split(".");
  const value = BigInt(whole) * ONE + BigInt(fraction.padEnd(8, "0"));
  return negative ? -value : value;
}

/** The canonical decimal string: no exponent, no trailing zeros. */
export function wire(value: Units): string {
  const sign = value < 0n ? "-" : "";
  const magnitude = value < 0n ? -value : value;
  const fraction = (magnitude % ONE).toString().padStart(8, "0").replace(/0+$/, "");
  return sign + (magnitude / ONE).toString() + (fraction ? `.${fraction}` : "");
}

/** For people: thousands are grouped, at least `places` decimals, more where the amount has more: nothing is rounded. */
export function show(value: Units, places = 0): string {
  const [whole = "0", fraction = ""] = wire(value).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const decimals = fraction.padEnd(places, "0");
  return decimals ? `${grouped}.${decimals}` : grouped;
}

/** How many decimals a step (tick or lot size) has: 0.01 has 2. */
export function placesOf(step: Units): number {
  return wire(step).split(".")[1]?.length ?? 0;
}

/** A float, to draw with and for nothing else. */
export function toFloat(value: Units): number {
  return Number(value) / 1e8;
}

export type Parsed = { ok: true; value: Units } | { ok: false; sentence: string };

/** What a person typed into a field that is called `name`. Spaces and grouping commas are taken out. */
export function parseAmount(text: string, name: string): Parsed {
  const trimmed = text.trim();
  if (trimmed === "") return { ok: false, sentence: `${name} is missing.` };
  const plain = /^\d{1,3}(,\d{3})+(\.\d*)?$/.test(trimmed) ? trimmed.replaceAll(",", "") : trimmed;
  if (/^\d+,\d+$/.test(plain)) return { ok: false, sentence: `${name}: use a point for decimals, such as 1.5.` };
  if (!/^(\d+\.?\d*|\.\d+)$/.test(plain)) return { ok: false, sentence: `${name} must be a number, such as 1.5.` };
  const [whole = "", fraction = ""] = plain.split(".");
  if (fraction.replace(/0+$/, "").length > 8) {
    return { ok: false, sentence: `${name} has more than 8 decimals.` };
  }
  const value = BigInt(whole || "0") * ONE + BigInt(fraction.slice(0, 8).padEnd(8, "0"));
  if (value > MAX_UNITS) return { ok: false, sentence: `${name} must be below 10,000,000,000.` };
  return { ok: true, value };
}
