/** The stand-in's market: a few instruments whose prices walk, each with a book, trades and candles. Development only. */
import type { Candle, DepthMessage, InstrumentWire, Interval, Ticker, Trade } from "../src/api/types";
import { levelChecksum } from "../src/live/depth";
import { ONE, units, wire, type Units } from "../src/money/units";

const WIDTH_MS: Record<Interval, number> = { "1s": 1e3, "1m": 6e4, "5m": 3e5, "1h": 36e5, "1d": 864e5 };

function instrument(symbol: string, reference: string, tick: string, lot: string, status = "open"): InstrumentWire {
  const [base_asset = symbol, quote_asset = "USD"] = symbol.split("-");
  const max_quantity = wire(units(lot) * 100_000n);
  const limits = { min_quantity: lot, max_quantity, min_notional: "1", max_notional: "1000000" };
  const fees = { collar_ppm: 200_000, maker_fee_ppm: 100, taker_fee_ppm: 250 };
  return {
    symbol,
    base_asset,
    quote_asset,
    tick_size: tick,
    lot_size: lot,
    reference_price: reference,
    status,
    ...limits,
    ...fees,
  };
}

export const INSTRUMENTS = [
  instrument("AAPL-USD", "585.5", "0.01", "1"),
  instrument("ABC-USD", "20", "0.01", "1"),
  instrument("BTC-USD", "64250", "0.5", "0.001"),
  instrument("XRP-ETH", "0.00021", "0.0000001", "1"),
  instrument("OLD-USD", "3", "0.01", "1", "halted"),
  instrument("<img src=x onerror=alert(1)>-USD", "7", "0.01", "1"),
];

let nextTrade = 9_007_199_254_740_993n;

export class Market {
  readonly bids = new Map<Units, Units>();
  readonly asks = new Map<Units, Units>();
  trades: Trade[] = [];
  readonly candles = new Map<Interval, Candle[]>();
  private middle: Units;
  private sequence = 1;
  private readonly tick: Units;
  private readonly lot: Units;

  constructor(readonly about: InstrumentWire) {
    this.tick = units(about.tick_size);
    this.lot = units(about.lot_size);
    this.middle = units(about.reference_price);
    this.fill();
    this.past();
  }

  private amount = () => BigInt(1 + Math.floor(Math.random() ** 3 * 400)) * this.lot;
  private step = () => (this.middle / 20_000n / this.tick || 1n) * this.tick;

  private fill(): void {
    for (let level = 1n; level <= 60n; level++) {
      const [bid, ask] = [this.middle - level * this.step(), this.middle + level * this.step()];
      if (bid > 0n && !this.bids.has(bid)) this.bids.set(bid, this.amount());
      if (!this.asks.has(ask)) this.asks.set(ask, this.amount());
    }
  }

  private past(): void {
    const now = Date.now();
    for (const interval of Object.keys(WIDTH_MS) as Interval[]) {
      const width_ms = WIDTH_MS[interval];
      const list: Candle[] = [];
      let close = this.middle;
      for (let index = 0; index < 400; index++) {
        const open = close + BigInt(Math.round((Math.random() - 0.5) * 12)) * this.step();
        const [top, low] = open > close ? [open, close] : [close, open];
        const wick = BigInt(Math.round(Math.random() * 5)) * this.step();
        const bucket_ms = (Math.floor(now / width_ms) - index) * width_ms;
        list.unshift({
          bucket_ms,
          open: wire(open > 0n ? open : this.tick),
          high: wire(top + wick),
          low: wire(low - wick > 0n ? low - wick : this.tick),
          close: wire(close),
          volume: wire(this.amount()),
          trades: 12,
        });
        close = open > 0n ? open : this.tick;
      }
      this.candles.set(interval, list);
    }
  }

  /** Changes the book a little and says how, as a depth message; sometimes a trade comes with it. */
  move(): { depth: DepthMessage; trades: Trade[] } {
    const before = [this.window("B"), this.window("S")] as const;
    const steps = BigInt(Math.round((Math.random() - 0.5) * 3));
    if (this.middle + steps * this.step() > 70n * this.step()) this.middle += steps * this.step();
    for (const price of this.bids.keys()) if (price >= this.middle) this.bids.delete(price);
    for (const price of this.asks.keys()) if (price <= this.middle) this.asks.delete(price);
    for (const side of [this.bids, this.asks]) {
      const prices = [...side.keys()];
      const price = prices[Math.floor(Math.random() * Math.min(20, prices.length))];
      if (price !== undefined) side.set(price, this.amount());
    }
    this.fill();
    const trades = Math.random() < 0.5 ? [this.trade(Math.random() < 0.5 ? "buy" : "sell")] : [];
    return { depth: this.delta(before), trades };
  }

  private trade(taker_side: "buy" | "sell"): Trade {
    const price = this.best(taker_side === "buy" ? "S" : "B") ?? this.middle;
    return this.print(price, this.amount(), taker_side);
  }

  print(price: Units, quantity: Units, taker_side: "buy" | "sell"): Trade {
    const trade: Trade = {
      trade_id: String(nextTrade++),
      price: wire(price),
      quantity: wire(quantity),
      taker_side,
      traded_ms: Date.now(),
    };
    this.trades = [trade, ...this.trades].slice(0, 200);
    for (const [interval, list] of this.candles) {
      const bucket_ms = Math.floor(trade.traded_ms / WIDTH_MS[interval]) * WIDTH_MS[interval];
      const last = list.at(-1);
      if (last?.bucket_ms === bucket_ms) {
        last.close = trade.price;
        if (price > units(last.high)) last.high = trade.price;
        if (price < units(last.low)) last.low = trade.price;
        last.volume = wire(units(last.volume) + quantity);
        last.trades += 1;
      } else {
        const { price: open } = trade;
        list.push({ bucket_ms, open, high: open, low: open, close: open, volume: wire(quantity), trades: 1 });
      }
    }
    return trade;
  }

  best(side: "B" | "S"): Units | undefined {
    return this.window(side).keys().next().value;
  }

  private window(side: "B" | "S"): Map<Units, Units> {
    const sign = side === "B" ? -1 : 1;
    const all = [...(side === "B" ? this.bids : this.asks)].sort((a, b) => (a[0] < b[0] ? -sign : sign));
    return new Map(all.slice(0, 50));
  }

  private delta(before: readonly [Map<Units, Units>, Map<Units, Units>]): DepthMessage {
    const differences = (old: Map<Units, Units>, now: Map<Units, Units>) => [
      ...[...old.keys()].filter((price) => !now.has(price)).map((price): [string, string] => [wire(price), "0"]),
      ...[...now].filter(([price, q]) => old.get(price) !== q).map(([p, q]): [string, string] => [wire(p), wire(q)]),
    ];
    const previous = this.sequence++;
    const [bids, asks] = [differences(before[0], this.window("B")), differences(before[1], this.window("S"))];
    return { ...this.snapshot(), kind: "delta", previous, bids, asks };
  }

  snapshot(): DepthMessage {
    const [bids, asks] = [this.window("B"), this.window("S")];
    let checksum = 0;
    for (const [price, quantity] of bids) checksum = (checksum + levelChecksum("B", price, quantity)) >>> 0;
    for (const [price, quantity] of asks) checksum = (checksum + levelChecksum("S", price, quantity)) >>> 0;
    const pairs = (side: Map<Units, Units>) => [...side].map(([p, q]): [string, string] => [wire(p), wire(q)]);
    return {
      type: "depth",
      instrument: this.about.symbol,
      kind: "snapshot",
      levels: 50,
      sequence: this.sequence,
      bids: pairs(bids),
      asks: pairs(asks),
      checksum,
      time_ms: Date.now(),
    };
  }

  ticker(): Ticker {
    const text = (price: Units | undefined) => (price === undefined ? null : wire(price));
    const hours = this.candles.get("1h") ?? [];
    return {
      instrument: this.about.symbol,
      last: this.trades[0]?.price ?? wire(this.middle),
      bid: text(this.best("B")),
      ask: text(this.best("S")),
      open_24h: hours.at(-24)?.open ?? null,
      high_24h: wire(this.middle + 40n * this.step()),
      low_24h: wire(this.middle > 80n * this.step() ? this.middle - 40n * this.step() : this.tick),
      volume_24h: wire(123_456n * ONE),
      trades_24h: 4_321 + this.trades.length,
    };
  }
}
