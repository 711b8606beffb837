import { describe, expect, test } from "vitest";
import { units } from "../money/units";
import { layout, type Edge, type Node } from "./layers";
import { buckets, totals } from "./series";

const graph = (...edges: Edge[]) => {
  const ids = [...new Set(edges.flat())];
  return layout(
    ids.map((id): Node => ({ id, kind: "topic" })),
    edges,
  );
};
const layerOf = (drawn: ReturnType<typeof layout>, id: string) => drawn.nodes.find((node) => node.id === id)?.layer;

describe("the layout of the pipeline", () => {
  test("puts each node right of what it comes from", () => {
    const drawn = graph(
      ["up", "orders"],
      ["orders", "validator"],
      ["validator", "validated"],
      ["orders", "sink"],
      ["validated", "sink"],
    );
    expect(["up", "orders", "validator", "validated", "sink"].map((id) => layerOf(drawn, id))).toEqual([0, 1, 2, 3, 4]);
    expect(drawn.edges.every((edge) => !edge.back)).toBe(true);
  });

  test("turns feedback into an edge that runs back", () => {
    const drawn = graph(
      ["up", "validator"],
      ["validator", "settler"],
      ["settler", "settled"],
      ["settled", "validator"],
    );
    expect(drawn.edges.filter((edge) => edge.back)).toEqual([{ from: "settled", to: "validator", back: true }]);
  });

  test("leads an edge that passes layers over waypoints, shared by all edges of its node", () => {
    const drawn = graph(["a", "b"], ["b", "c"], ["c", "d"], ["a", "d"], ["a", "c"]);
    expect(drawn.waypoints.get("a")?.map((spot) => spot.layer)).toEqual([1, 2]);
    expect(drawn.waypoints.get("b")).toEqual([]);
  });

  test("puts what only a late node reads next to that node", () => {
    const drawn = graph(["a", "b"], ["b", "c"], ["c", "d"], ["clock", "tick"], ["tick", "d"]);
    expect([layerOf(drawn, "clock"), layerOf(drawn, "tick")]).toEqual([1, 2]);
  });

  test("gives no two things of a layer the same row, and ends for rings", () => {
    const drawn = graph(["a", "x"], ["b", "x"], ["c", "x"], ["x", "y"], ["y", "z"], ["z", "y"], ["a", "z"]);
    const places = [...drawn.nodes, ...[...drawn.waypoints.values()].flat()].map(({ layer, row }) => `${layer}/${row}`);
    expect(new Set(places).size).toBe(places.length);
    expect(Math.max(...drawn.nodes.map((node) => node.row))).toBeLessThan(drawn.rows);
    expect(graph(["a", "b"], ["b", "a"]).nodes.length).toBe(2);
  });

  test("leaves out edges to what is not drawn, and is empty for nothing", () => {
    expect(layout([{ id: "a", kind: "topic" }], [["a", "gone"]]).edges).toEqual([]);
    expect(layout([], []).nodes).toEqual([]);
  });
});

describe("volume", () => {
  const NOW_MS = 7_200_000;
  const row = (minute_ms: number, instrument: string, notional: string) => ({
    ...{ minute_ms, instrument, notional, volume: "2", trades: 3 },
  });

  test("falls into buckets, exactly; the running minute into the last", () => {
    const rows = [
      row(3_600_000, "A", "0.1"),
      row(3_660_000, "A", "0.2"),
      row(7_200_000, "A", "5"),
      row(0, "A", "9"),
      row(3_600_000, "B", "7"),
    ];
    const found = buckets(rows, (symbol) => symbol === "A", 1, 2, NOW_MS);
    expect(found.map((bucket) => bucket.notional)).toEqual([units("0.3"), units("5")]);
    expect(found.map((bucket) => bucket.trades)).toEqual([6, 3]);
    expect(found[0]?.at_ms).toBe(3_600_000);
  });

  test("is summed by instrument, the busiest first", () => {
    const found = totals([row(0, "B", "1"), row(0, "A", "1.5"), row(60_000, "A", "2")]);
    expect(found.map(({ instrument, notional, trades }) => [instrument, notional, trades])).toEqual([
      ["A", units("3.5"), 6],
      ["B", units("1"), 3],
    ]);
  });
});
