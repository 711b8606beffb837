/** The price chart: candles and volume. Floats are made here, to draw and for nothing else. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { IChartApi, ISeriesApi, Time as ChartTime, UTCTimestamp } from "lightweight-charts";
import { INTERVALS, type Candle, type Instrument, type Interval } from "../api/types";
import { followCandles } from "../live/candles";
import { interval } from "../live/market";
import { placesOf, show, toFloat, units } from "../money/units";
import { shownTheme } from "../settings";

/** The last candle in words, for those who can't see the chart. */
const summary = signal("");
const empty = signal(false);

const WORDS: Record<Interval, string> = { "1s": "1 s", "1m": "1 min", "5m": "5 min", "1h": "1 hour", "1d": "1 day" };

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    up: read("--up"),
    down: read("--down"),
    text: read("--dim"),
    line: read("--line"),
    panel: read("--panel"),
    upSoft: read("--up-soft"),
    downSoft: read("--down-soft"),
  };
}

const localTime = (interval: Interval) => {
  const options: Intl.DateTimeFormatOptions =
    interval === "1d"
      ? { dateStyle: "medium" }
      : { dateStyle: "short", timeStyle: interval === "1s" ? "medium" : "short", hourCycle: "h23" };
  const format = new Intl.DateTimeFormat([], options);
  return (time: ChartTime) => format.format((time as number) * 1000);
};

/** Marks on the time axis in local time: days where the day changes, else hours and minutes. */
function tickMark(time: ChartTime, type: number): string {
  const at = new Date((time as number) * 1000);
  if (type <= 1) return at.toLocaleDateString([], { month: "short", year: "numeric" });
  if (type === 2) return at.toLocaleDateString([], { day: "numeric", month: "short" });
  return at.toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    ...(type === 4 ? { second: "2-digit" } : {}),
  });
}

interface Drawn {
  chart: IChartApi;
  candles: ISeriesApi<"Candlestick">;
  volume: ISeriesApi<"Histogram">;
}

async function make(box: HTMLElement, instrument: Instrument, chosen: Interval): Promise<Drawn> {
  const { createChart, CandlestickSeries, HistogramSeries } = await import("lightweight-charts");
  const chart = createChart(box, {
    autoSize: true,
    layout: { attributionLogo: false, fontSize: 11, fontFamily: getComputedStyle(box).fontFamily },
    rightPriceScale: { borderVisible: false },
    timeScale: {
      borderVisible: false,
      timeVisible: chosen !== "1d",
      secondsVisible: chosen === "1s",
      tickMarkFormatter: tickMark,
    },
    localization: { timeFormatter: localTime(chosen) },
  });
  const price = {
    type: "price",
    precision: placesOf(instrument.tick_size),
    minMove: toFloat(instrument.tick_size),
  } as const;
  const candles = chart.addSeries(CandlestickSeries, { priceFormat: price, borderVisible: false });
  const volume = chart.addSeries(HistogramSeries, {
    priceFormat: { type: "volume" },
    priceScaleId: "",
    lastValueVisible: false,
    priceLineVisible: false,
  });
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.22 } });
  return { chart, candles, volume };
}

function paint({ chart, candles }: Drawn): void {
  const { up, down, text, line, panel } = colours();
  chart.applyOptions({
    layout: { background: { color: panel }, textColor: text },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
  });
  candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
}

const seconds = (candle: Candle) => Math.floor(candle.bucket_ms / 1000) as UTCTimestamp;
const bar = (candle: Candle) => ({
  time: seconds(candle),
  open: toFloat(units(candle.open)),
  high: toFloat(units(candle.high)),
  low: toFloat(units(candle.low)),
  close: toFloat(units(candle.close)),
});
const column = (candle: Candle) => {
  const { upSoft, downSoft } = colours();
  const rose = units(candle.close) >= units(candle.open);
  return { time: seconds(candle), value: toFloat(units(candle.volume)), color: rose ? upSoft : downSoft };
};

function say(candle: Candle | undefined, chosen: Interval): void {
  empty.value = candle === undefined;
  summary.value = candle
    ? `Latest ${WORDS[chosen]} candle: open ${show(units(candle.open))}, high ${show(units(candle.high))}, low ${show(units(candle.low))}, close ${show(units(candle.close))}, volume ${show(units(candle.volume))}.`
    : "No trades to draw yet.";
}

export function Chart({ instrument }: { instrument: Instrument }) {
  const box = useRef<HTMLDivElement>(null);
  const drawn = useRef<Drawn | null>(null);
  const held = useRef<readonly Candle[]>([]);
  const chosen = interval.value;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let gone = false;
    let stop = () => {};
    summary.value = "";
    void make(element, instrument, chosen).then((parts) => {
      if (gone) {
        parts.chart.remove();
        return;
      }
      drawn.current = parts;
      paint(parts);
      const feed = followCandles(instrument.symbol, chosen, {
        all: (candles) => {
          held.current = candles;
          parts.candles.setData(candles.map(bar));
          parts.volume.setData(candles.map(column));
          say(candles.at(-1), chosen);
        },
        one: (candle) => {
          parts.candles.update(bar(candle));
          parts.volume.update(column(candle));
          say(candle, chosen);
        },
      });
      parts.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
        if (range && range.from < 10) feed.older();
      });
      stop = () => {
        feed.stop();
        parts.chart.remove();
      };
    });
    return () => {
      gone = true;
      drawn.current = null;
      stop();
    };
  }, [instrument.symbol, chosen]);

  useEffect(() => {
    if (!drawn.current) return;
    paint(drawn.current);
    drawn.current.volume.setData(held.current.map(column));
  }, [shownTheme.value]);

  return (
    <div class="chart">
      <div class="chart-head">
        <div role="radiogroup" aria-label="Interval" class="segments small">
          {INTERVALS.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="interval"
                value={name}
                checked={name === chosen}
                onChange={() => (interval.value = name)}
              />
              <span>{WORDS[name]}</span>
            </label>
          ))}
        </div>
        <a class="credit" href="https://www.tradingview.com/" target="_blank" rel="noreferrer">
          Charts by TradingView
        </a>
      </div>
      <div
        class="chart-box"
        ref={box}
        role="img"
        aria-label={`Price chart of ${instrument.symbol}. ${summary.value}`}
      />
      {empty.value ? <p class="chart-empty dim">No trades in this chart yet.</p> : null}
    </div>
  );
}
