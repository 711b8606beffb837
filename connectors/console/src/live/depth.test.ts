import { describe, expect, test } from "vitest";
import type { DepthMessage } from "../api/types";
import { units } from "../money/units";
import { crc32 } from "./crc32";
import { DepthBook, ladder, levelChecksum } from "./depth";

// The figures come from Python: zlib.crc32(b"B" + struct.pack(">qq", price, quantity)).
test.each([
  ["B", "20", "5", 2_729_752_203],
  ["B", "19.99", "12", 3_828_488_110],
  ["S", "20.01", "3", 2_937_310_696],
  ["S", "9999999999.99999999", "0.00000001", 91_792_320],
] as const)("the checksum of level %s %s %s is zlib's %d", (side, price, quantity, checksum) => {
  expect(levelChecksum(side, units(price), units(quantity))).toBe(checksum);
});

test("CRC-32 gives the check value of its definition", () => {
  expect(crc32(new TextEncoder().encode("123456789"))).toBe(3_421_780_262);
});

const SNAPSHOT: DepthMessage = {
  type: "depth",
  instrument: "ABC-USD",
  kind: "snapshot",
  levels: 50,
  sequence: 10,
  bids: [
    ["19.99", "12"],
    ["20", "5"],
  ],
  asks: [
    ["20.01", "3"],
    ["9999999999.99999999", "0.00000001"],
  ],
  checksum: 997_408_737,
  time_ms: 1,
};
const DELTA: DepthMessage = {
  ...SNAPSHOT,
  kind: "delta",
  sequence: 14,
  previous: 10,
  bids: [
    ["20", "4"],
    ["19.99", "0"],
  ],
  asks: [],
  checksum: 1_349_133_452,
};

describe("a book", () => {
  test("takes a snapshot and a conflated delta that skips numbers, both proved", () => {
    const book = new DepthBook(50);
    expect(book.apply(SNAPSHOT)).toBe("ok");
    expect(book.side("B")).toEqual([
      [units("20"), units("5")],
      [units("19.99"), units("12")],
    ]);
    expect(book.apply(DELTA)).toBe("ok");
    expect(book.side("B")).toEqual([[units("20"), units("4")]]);
    expect(book.sequence).toBe(14);
  });

  test("ignores a delta before its snapshot", () => {
    expect(new DepthBook(50).apply(DELTA)).toBe("early");
  });

  test("notices a delta that does not follow, then waits for a snapshot", () => {
    const book = new DepthBook(50);
    book.apply(SNAPSHOT);
    expect(book.apply({ ...DELTA, previous: 11 })).toBe("gap");
    expect(book.side("B")).toEqual([]);
    expect(book.apply(DELTA)).toBe("early");
    expect(book.apply(SNAPSHOT)).toBe("ok");
  });

  test("notices a wrong checksum and shows nothing of it", () => {
    const book = new DepthBook(50);
    book.apply(SNAPSHOT);
    expect(book.apply({ ...DELTA, checksum: 1_349_133_453 })).toBe("mismatch");
    expect(book.side("S")).toEqual([]);
    expect(book.checksum).toBe(0);
  });

  test("takes a checksum that came as a signed number", () => {
    const signed = { ...SNAPSHOT, bids: [["20", "5"]] as [string, string][], asks: [], checksum: 2_729_752_203 | 0 };
    expect(new DepthBook(50).apply(signed)).toBe("ok");
  });

  test("of an empty book the checksum is zero", () => {
    expect(new DepthBook(50).apply({ ...SNAPSHOT, bids: [], asks: [], checksum: 0 })).toBe("ok");
  });
});

describe("a window of 10 levels", () => {
  const levels = (count: number, from: number): [string, string][] =>
    Array.from({ length: count }, (_, index) => [String(from - index), "1"]);
  const sum = (pairs: [string, string][]) =>
    pairs.reduce((total, [p, q]) => (total + levelChecksum("B", units(p), units(q))) >>> 0, 0);
  const full = levels(10, 100);
  const snapshot: DepthMessage = { ...SNAPSHOT, levels: 10, sequence: 1, bids: full, asks: [], checksum: sum(full) };
  const after = levels(10, 101);
  const entered: DepthMessage = { ...snapshot, kind: "delta", sequence: 2, previous: 1, checksum: sum(after) };

  test.each([
    [
      "the delta names what left",
      [
        ["101", "1"],
        ["91", "0"],
      ],
    ],
    ["the delta only names what entered", [["101", "1"]]],
  ] as [string, [string, string][]][])("keeps the best ones where %s", (_name, bids) => {
    const book = new DepthBook(10);
    expect(book.apply(snapshot)).toBe("ok");
    expect(book.apply({ ...entered, bids })).toBe("ok");
    expect(book.side("B").map(([price]) => price)).toEqual(after.map(([price]) => units(price)));
  });

  test("takes in what comes from below when a level goes", () => {
    const book = new DepthBook(10);
    book.apply(snapshot);
    const now = [...levels(9, 99), ["90", "1"]] as [string, string][];
    const bids: [string, string][] = [
      ["100", "0"],
      ["90", "1"],
    ];
    expect(book.apply({ ...entered, bids, checksum: sum(now) })).toBe("ok");
    expect(book.side("B").length).toBe(10);
  });
});

test("the ladder has running sums and bars on the scale of the deeper side", () => {
  const book = new DepthBook(50);
  book.apply({
    ...SNAPSHOT,
    asks: [["20.01", "3"]],
    checksum: (2_729_752_203 + 3_828_488_110 + 2_937_310_696) % 2 ** 32,
  });
  const { bids, asks } = ladder(book, 50);
  expect(bids.map((row) => [row.sum, row.share])).toEqual([
    [units("5"), 0.294],
    [units("17"), 1],
  ]);
  expect(asks.map((row) => row.share)).toEqual([0.176]);
  expect(ladder(book, 1).bids.length).toBe(1);
});
