/** What the exchange did lately, from ClickHouse: charts with their tables beside them. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentenceOf } from "../api/problems";
import type { Analytics } from "../api/types";
import { buckets, totals, type Bucket } from "../draw/series";
import { now_ms } from "../live/link";
import { instruments } from "../live/market";
import { show, toFloat } from "../money/units";
import { Empty, Skeleton, timeText, dateText } from "../parts/common";
import { LogInFirst } from "../parts/orders";
import { client, session } from "../session";
import { REJECT_SENTENCES } from "../words/reasons";

const HOURS = [1, 6, 24] as const;
const RELOAD_MS = 30_000;

export function AnalyticsPage() {
  const hours = useSignal<number>(24);
  const data = useSignal<{ at_ms: number; hours: number; all: Analytics } | null>(null);
  const problem = useSignal<string | null>(null);
  const loggedIn = session.value.phase === "in";

  useEffect(() => {
    document.title = "Analytics · Tapeline";
    if (!loggedIn) return;
    let gone = false;
    const load = async () => {
      const wanted = hours.peek();
      try {
        const all = await client.analytics(wanted);
        if (gone) return;
        data.value = { at_ms: Date.now(), hours: wanted, all };
        problem.value = null;
      } catch (error) {
        if (!gone) problem.value = sentenceOf(error);
      }
    };
    void load();
    const timer = setInterval(() => void load(), RELOAD_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [loggedIn, hours.value]);

  const now = data.value;
  return (
    <div class="page">
      <header class="page-head">
        <h1>Analytics</h1>
        <div role="radiogroup" aria-label="Time span" class="segments">
          {HOURS.map((count) => (
            <label key={count}>
              <input type="radio" name="hours" checked={hours.value === count} onChange={() => (hours.value = count)} />
              <span>{count} h</span>
            </label>
          ))}
        </div>
        {now ? <p class="dim">{Math.max(0, Math.round((now_ms.value - now.at_ms) / 1000))} s old</p> : null}
      </header>
      {problem.value ? (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      ) : null}
      {!loggedIn ? (
        <LogInFirst what="the analytics" />
      ) : now ? (
        <div class="cards-grid">
          <Volume now={now} />
          <Latency rows={now.all.latency} />
          <FillRatio rows={now.all.fill_ratio} />
          <Rejects rows={now.all.rejects} />
        </div>
      ) : (
        <Skeleton rows={10} label="Loading analytics" />
      )}
    </div>
  );
}

function Volume({ now }: { now: { at_ms: number; hours: number; all: Analytics } }) {
  const chosen = useSignal<string | null>(null);
  const all = totals(now.all.volume);
  const quote = (symbol: string) => instruments.value?.get(symbol)?.quote_asset ?? "";
  const picked = chosen.value ?? all[0]?.instrument ?? null;
  const series = buckets(now.all.volume, (symbol) => symbol === picked, now.hours, 72, now.at_ms);
  return (
    <section class="panel card wide" aria-labelledby="volume-title">
      <h2 id="volume-title">Volume over time</h2>
      {picked === null ? (
        <Empty title="No trades in this time span" />
      ) : (
        <div class="chart-and-table">
          <figure tabIndex={0}>
            <figcaption>
              Notional of {picked} in {quote(picked)}, for each {(now.hours * 60) / 72} minutes
            </figcaption>
            <Columns series={series} hours={now.hours} unit={quote(picked)} />
          </figure>
          <div class="scroll" tabIndex={0} role="region" aria-label="Volume by instrument">
            <table>
              <thead>
                <tr>
                  <th>Instrument</th>
                  <th class="r">Quantity</th>
                  <th class="r">Notional</th>
                  <th class="r">Trades</th>
                </tr>
              </thead>
              <tbody>
                {all.map((row) => (
                  <tr key={row.instrument} class={row.instrument === picked ? "picked" : ""}>
                    <td>
                      <button
                        type="button"
                        class="link"
                        aria-pressed={row.instrument === picked}
                        onClick={() => (chosen.value = row.instrument)}
                      >
                        {row.instrument}
                      </button>
                    </td>
                    <td class="num r">{show(row.volume)}</td>
                    <td class="num r">
                      {show(row.notional, 2)} <span class="dim">{quote(row.instrument)}</span>
                    </td>
                    <td class="num r">{row.trades.toLocaleString("en")}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </div>
      )}
    </section>
  );
}

const [WIDE, HIGH, FOOT, LEFT] = [720, 220, 20, 64];

function Columns({ series, hours, unit }: { series: Bucket[]; hours: number; unit: string }) {
  const values = series.map((bucket) => toFloat(bucket.notional));
  const top = niceTop(Math.max(...values));
  const step = (WIDE - LEFT) / series.length;
  const y = (value: number) => (HIGH - FOOT) * (1 - value / top) + 6 * (value / top);
  const peak = series.reduce((a, b) => (b.notional > a.notional ? b : a));
  const label = `Most in one bucket: ${show(peak.notional, 2)} ${unit} at ${timeText(peak.at_ms)}.`;
  const marks = [0, 0.25, 0.5, 0.75].map((part) => Math.floor(series.length * part));
  return (
    <svg viewBox={`0 0 ${WIDE} ${HIGH}`} role="img" aria-label={label} class="columns">
      {[0, 0.5, 1].map((part) => (
        <g key={part}>
          <line x1={LEFT} x2={WIDE} y1={y(top * part)} y2={y(top * part)} class="grid" />
          <text x={LEFT - 8} y={y(top * part) + 4} class="end">
            {short(top * part)}
          </text>
        </g>
      ))}
      {values.map((value, index) => (
        <rect
          key={index}
          x={LEFT + index * step + 0.5}
          width={Math.max(1, step - 1.5)}
          y={y(value)}
          height={Math.max(0, HIGH - FOOT - y(value))}
        >
          <title>{`${dateText(series[index]?.at_ms ?? 0)}: ${show(series[index]?.notional ?? 0n, 2)} ${unit}, ${series[index]?.trades} trades`}</title>
        </rect>
      ))}
      {marks.map((index) => (
        <text key={index} x={LEFT + index * step} y={HIGH - 4}>
          {timeText(series[index]?.at_ms ?? 0).slice(0, hours >= 6 ? 5 : 8)}
        </text>
      ))}
    </svg>
  );
}

function niceTop(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const short = (value: number) => compact.format(value);

const stageName = (stage: string) =>
  stage === "total" ? "All stages" : stage.charAt(0).toUpperCase() + stage.slice(1).replaceAll("_", " ");

function Latency({ rows }: { rows: Analytics["latency"] }) {
  const most = Math.max(1, ...rows.map((row) => row.p99_ms));
  return (
    <section class="panel card" aria-labelledby="latency-title">
      <h2 id="latency-title">Latency by stage</h2>
      {rows.length === 0 ? (
        <Empty title="No commands in this time span" />
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Latency figures">
          <table class="bars-table">
            <thead>
              <tr>
                <th>Stage</th>
                <th>
                  Median <span class="key mid" /> and 99 % <span class="key soft" />
                </th>
                <th class="r">p50 ms</th>
                <th class="r">p99 ms</th>
                <th class="r">max ms</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.stage}>
                  <td>{stageName(row.stage)}</td>
                  <td class="bar-cell">
                    <span class="hbar soft" style={{ width: `${(row.p99_ms / most) * 100}%` }} />
                    <span class="hbar" style={{ width: `${(row.p50_ms / most) * 100}%` }} />
                  </td>
                  <td class="num r">{figure(row.p50_ms)}</td>
                  <td class="num r">{figure(row.p99_ms)}</td>
                  <td class="num r">{figure(row.max_ms)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const figure = (value: number) => value.toLocaleString("en", { maximumFractionDigits: 1 });

function FillRatio({ rows }: { rows: Analytics["fill_ratio"] }) {
  return (
    <section class="panel card" aria-labelledby="ratio-title">
      <h2 id="ratio-title">Fill ratio</h2>
      {rows.length === 0 ? (
        <Empty title="No orders in this time span" />
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Fill ratio by instrument">
          <table class="bars-table">
            <thead>
              <tr>
                <th>Instrument</th>
                <th>Share that traded</th>
                <th class="r">Orders</th>
                <th class="r">Filled</th>
                <th class="r">Ratio</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.instrument}>
                  <td>{row.instrument}</td>
                  <td class="bar-cell">
                    <span class="hbar" style={{ width: `${Math.min(1, Number(row.ratio)) * 100}%` }} />
                  </td>
                  <td class="num r">{row.orders.toLocaleString("en")}</td>
                  <td class="num r">{row.filled.toLocaleString("en")}</td>
                  <td class="num r">{(Number(row.ratio) * 100).toFixed(1)} %</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Rejects({ rows }: { rows: Analytics["rejects"] }) {
  const sorted = [...rows].sort((a, b) => b.rejects - a.rejects);
  const most = Math.max(1, ...sorted.map((row) => row.rejects));
  return (
    <section class="panel card wide" aria-labelledby="rejects-title">
      <h2 id="rejects-title">Rejects by reason</h2>
      {sorted.length === 0 ? (
        <Empty title="Nothing was rejected in this time span" />
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Reject figures">
          <table class="bars-table rejects">
            <thead>
              <tr>
                <th>Reason</th>
                <th>Share</th>
                <th class="r">Rejects</th>
                <th class="wide-only">What it means</th>
              </tr>
            </thead>
            <tbody>
              {sorted.map((row) => (
                <tr key={row.reason}>
                  <td class="num">{row.reason.toLowerCase()}</td>
                  <td class="bar-cell">
                    <span class="hbar bad" style={{ width: `${(row.rejects / most) * 100}%` }} />
                  </td>
                  <td class="num r">{row.rejects.toLocaleString("en")}</td>
                  <td class="dim wide-only">{REJECT_SENTENCES[row.reason.toLowerCase()] ?? ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
