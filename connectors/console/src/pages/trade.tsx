/** The trading page. Wide screens show its parts side by side, narrow ones one at a time behind tabs. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Instrument } from "../api/types";
import { account } from "../live/account";
import { follow, instruments, instrumentsProblem } from "../live/market";
import { hasEnded } from "../live/orders";
import { Chart } from "../parts/chart";
import { Empty, Skeleton, Tabs } from "../parts/common";
import { Fills } from "../parts/fills";
import { view, type View } from "../parts/form-state";
import { Balances, Deposit } from "../parts/funds";
import { History } from "../parts/history";
import { Ladder } from "../parts/ladder";
import { OrderForm } from "../parts/order-form";
import { OpenOrders } from "../parts/orders";
import { Tape } from "../parts/tape";
import { TickerLine } from "../parts/ticker-line";
import { keepInstrument, lastInstrument } from "../settings";

type Below = "open" | "fills" | "history";
const below = signal<Below>("open");

const VIEWS: { name: View; label: string }[] = [
  { name: "chart", label: "Chart" },
  { name: "book", label: "Book" },
  { name: "tape", label: "Trades" },
  { name: "order", label: "Order" },
  { name: "orders", label: "Mine" },
  { name: "funds", label: "Funds" },
];

/** The instrument of the address, else the last one, else the first. */
function resolve(wanted: string | null, all: ReadonlyMap<string, Instrument>): Instrument | null {
  if (wanted !== null) return all.get(wanted) ?? null;
  const last = lastInstrument();
  return (last === null ? undefined : all.get(last)) ?? all.values().next().value ?? null;
}

export function TradePage({ wanted }: { wanted: string | null }) {
  const all = instruments.value;
  const instrument = all ? resolve(wanted, all) : null;
  const symbol = instrument?.symbol ?? null;
  useEffect(() => {
    if (symbol === null) return;
    follow(symbol);
    keepInstrument(symbol);
    document.title = `${symbol} · Tapeline`;
  }, [symbol]);
  useEffect(() => () => follow(null), []);
  if (!all) {
    return (
      <div class="trade-wait">
        {instrumentsProblem.value ? (
          <Empty title="The gateway can't be reached">{instrumentsProblem.value} The console keeps trying.</Empty>
        ) : (
          <Skeleton rows={12} label="Loading instruments" />
        )}
      </div>
    );
  }
  if (!instrument) {
    return wanted === null ? (
      <Empty title="No instruments are listed yet">Operations publish them; then they show here.</Empty>
    ) : (
      <Empty title={`There is no instrument ${wanted}`}>Choose another one in the search above.</Empty>
    );
  }
  return <Trade instrument={instrument} />;
}

function Trade({ instrument }: { instrument: Instrument }) {
  const open = [...account.value.orders.values()].filter((order) => !hasEnded(order)).length;
  return (
    <div class="trade" data-view={view.value}>
      <TickerLine instrument={instrument} />
      <Tabs
        label="Parts of this page"
        class="views"
        testid="view"
        tabs={VIEWS}
        current={view.value}
        choose={(name) => (view.value = name)}
        panel={(name) => `part-${name}`}
      />
      <section id="part-chart" class="panel part-chart" aria-label="Chart">
        <Chart instrument={instrument} />
      </section>
      <section id="part-book" class="panel part-book" aria-labelledby="book-title">
        <h2 id="book-title">Book</h2>
        <Ladder instrument={instrument} />
      </section>
      <section id="part-tape" class="panel part-tape" aria-labelledby="tape-title">
        <h2 id="tape-title">Trades</h2>
        <Tape instrument={instrument} />
      </section>
      <section id="part-order" class="panel part-order" aria-label="Order">
        <OrderForm instrument={instrument} />
      </section>
      <section id="part-funds" class="panel part-funds" aria-labelledby="funds-title">
        <h2 id="funds-title">Funds</h2>
        <Balances />
        <Deposit assets={[instrument.quote_asset, instrument.base_asset]} />
      </section>
      <section id="part-orders" class="panel part-orders" aria-label="My orders and fills">
        <Tabs
          label="My orders"
          testid="mine"
          tabs={[
            { name: "open", label: open > 0 ? `Open orders (${open})` : "Open orders" },
            { name: "fills", label: "Fills" },
            { name: "history", label: "History" },
          ]}
          current={below.value}
          choose={(name) => (below.value = name)}
          panel={() => "mine-panel"}
        />
        <div id="mine-panel" role="tabpanel" aria-label={`My ${below.value === "open" ? "open orders" : below.value}`}>
          {below.value === "open" ? <OpenOrders instrument={instrument} /> : null}
          {below.value === "fills" ? <Fills /> : null}
          {below.value === "history" ? <History /> : null}
        </div>
      </section>
    </div>
  );
}
