import { expect, test, vi } from "vitest";

vi.stubGlobal("location", { pathname: "/" });
const { readRoute, tradePath } = await import("./router");

test.each([
  ["/", { page: "trade", instrument: null }],
  ["/trade", { page: "trade", instrument: null }],
  ["/trade/", { page: "trade", instrument: null }],
  ["/trade/ABC-USD", { page: "trade", instrument: "ABC-USD" }],
  ["/trade/%zz", { page: "trade", instrument: null }],
  ["/analytics", { page: "analytics" }],
  ["/log-in", { page: "log-in" }],
  ["/account/x", { page: "unknown" }],
  ["/else", { page: "unknown" }],
  ["/trade/A/B", { page: "unknown" }],
])("the address %s means %j", (path, route) => {
  expect(readRoute(path)).toEqual(route);
});

test("an instrument of any name comes back from its address", () => {
  for (const symbol of ["ABC-USD", "A/B", "<img src=x>", "ü ?#%"]) {
    expect(readRoute(tradePath(symbol))).toEqual({ page: "trade", instrument: symbol });
  }
});
