/** The stand-in's analytics and pipeline: plausible figures to look at. Development only. */
import type { Analytics, Pipeline } from "../src/api/types";

const between = (low: number, high: number) => low + Math.random() * (high - low);

export function analytics(hours: number): Analytics {
  const minute_ms = Math.floor(Date.now() / 6e4) * 6e4;
  const names = ["AAPL-USD", "ABC-USD", "BTC-USD"];
  const volume = names.flatMap((instrument, index) =>
    Array.from({ length: hours * 60 }, (_, back) => {
      const wave = 1.2 + Math.sin(back / 90 + index) + Math.random();
      const trades = Math.round(wave * (30 - index * 8));
      const notional = (wave * 8_000 * (index + 1)).toFixed(4).replace(/0+$/, "0");
      return { minute_ms: minute_ms - back * 6e4, instrument, volume: String(trades * 3), notional, trades };
    }),
  );
  const fill_ratio = names.map((instrument, index) => {
    const [orders, filled] = [90_000 - index * 21_000, 31_000 - index * 9_000];
    return { instrument, orders, filled, ratio: filled / orders };
  });
  const latency = [
    { stage: "ordered to validated", p50_ms: 8.2, p99_ms: 21, max_ms: 88 },
    { stage: "validated to executed", p50_ms: 15.6, p99_ms: 37, max_ms: 140 },
    { stage: "executed to settled", p50_ms: 7, p99_ms: 19, max_ms: 71 },
    { stage: "total", p50_ms: 24, p99_ms: 58, max_ms: 210 },
  ];
  const rejects = [
    { reason: "INSUFFICIENT_FUNDS", rejects: 812 },
    { reason: "INVALID_TICK", rejects: 344 },
    { reason: "OUTSIDE_COLLAR", rejects: 129 },
    { reason: "DUPLICATE_CLIENT_ORDER_ID", rejects: 41 },
  ];
  return { volume, fill_ratio, latency, rejects };
}

const FLOW: [name: string, kind: string, inputs: string[], outputs: string[]][] = [
  ["upstream", "connector", [], ["orders"]],
  ["gateway", "connector", ["orders.validated", "orders.rejected", "trades.executed", "trades.settled"], ["orders"]],
  ["operations", "connector", [], ["reference.instruments", "reference.accounts"]],
  ["venues", "connector", [], ["market.ticks"]],
  ["clock", "connector", [], ["clock"]],
  [
    "validator",
    "processor",
    [
      "orders",
      "trades.settled",
      "reference.accounts",
      "reference.instruments",
      "validator.journal",
      "validator.snapshots",
    ],
    ["orders.validated", "orders.rejected", "validator.journal", "validator.snapshots"],
  ],
  [
    "executor",
    "processor",
    ["orders.validated", "clock", "executor.journal", "executor.snapshots"],
    ["trades.executed", "executor.journal", "executor.snapshots"],
  ],
  ["settler", "processor", ["trades.executed"], ["trades.settled"]],
  [
    "timescale",
    "sink",
    ["orders.validated", "orders.rejected", "trades.executed", "trades.settled", "market.ticks"],
    [],
  ],
  ["clickhouse", "sink", ["orders", "orders.validated", "orders.rejected", "trades.executed", "trades.settled"], []],
];

export function pipeline(): Pipeline {
  const names = new Set(FLOW.flatMap(([, , inputs, outputs]) => [...inputs, ...outputs]));
  const topics = [...names].map((name, index) => ({
    name,
    records: 1_200_000 + index * 77_777,
    rate: Math.round(between(2_000, 9_000)),
    writers: FLOW.filter(([, , , outputs]) => outputs.includes(name)).map(([writer]) => writer),
    readers: FLOW.filter(([, , inputs]) => inputs.includes(name)).map(([reader]) => reader),
  }));
  const components = FLOW.map(([name, kind, inputs, outputs]) => {
    if (kind === "connector") return { name, kind, inputs, outputs };
    const lag = name === "clickhouse" ? 18_250 : Math.round(between(0, 120));
    const state = name === "validator" || name === "executor" ? { snapshot_age_s: Math.round(between(5, 50)) } : {};
    return { name, kind, inputs, outputs, lag, rate: Math.round(between(3e3, 9e3)), lanes: 4, members: 2, ...state };
  });
  return { at_ms: Date.now(), topics, components, dead_letters: [{ topic: "orders.dlq", records: 3 }] };
}
