/** Ended orders: those of this visit, and earlier ones page by page. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentenceOf } from "../api/problems";
import type { Order } from "../api/types";
import { account } from "../live/account";
import { hasEnded, type LocalOrder } from "../live/orders";
import { client, onToken, session } from "../session";
import { reasonSentence } from "../words/reasons";
import { Empty, Skeleton, Time } from "./common";
import { Cells, LogInFirst, statusText } from "./orders";

interface Loaded {
  orders: Order[];
  next_before: string | null;
}
const past = signal<Loaded | null>(null);
const problem = signal<string | null>(null);
const PAGE = 50;

onToken((token) => {
  if (token === null) past.value = null;
});

async function load(before?: string): Promise<void> {
  problem.value = null;
  try {
    const page = await client.orders({ status: "all", limit: PAGE, before });
    const earlier = before ? (past.peek()?.orders ?? []) : [];
    past.value = { orders: [...earlier, ...page.orders], next_before: page.next_before ?? null };
  } catch (error) {
    problem.value = sentenceOf(error);
  }
}

function ended(): LocalOrder[] {
  const local = [...account.value.orders.values()].filter((order) => hasEnded(order) && order.order_id !== null);
  const known = new Set(local.map((order) => order.client_order_id));
  const asLocal = (order: Order): LocalOrder => ({
    ...order,
    knowledge: "known",
    change: null,
    notice: null,
    dismissed: true,
  });
  const earlier = (past.value?.orders ?? []).filter((order) => hasEnded(order) && !known.has(order.client_order_id));
  return [...local, ...earlier.map(asLocal)].sort((a, b) => b.updated_ms - a.updated_ms);
}

export function History() {
  const loggedIn = session.value.phase === "in";
  useEffect(() => {
    if (loggedIn && !past.peek()) void load();
  }, [loggedIn]);
  if (!loggedIn) return <LogInFirst what="your earlier orders" />;
  const rows = ended();
  if (problem.value && rows.length === 0) return <Empty title="Earlier orders can't be shown">{problem.value}</Empty>;
  if (!past.value && rows.length === 0) return <Skeleton rows={3} label="Loading earlier orders" />;
  if (rows.length === 0)
    return <Empty title="No ended orders yet">Filled, cancelled and rejected orders stay here.</Empty>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Ended orders">
      <table class="orders cards" data-testid="order-history">
        <thead>
          <tr>
            <th>Side</th>
            <th>Instrument</th>
            <th>Type</th>
            <th class="r">Price</th>
            <th class="r">Stop</th>
            <th class="r">Filled / quantity</th>
            <th>End</th>
            <th class="r">Time</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((order) => (
            <tr
              key={order.client_order_id}
              data-testid="history-row"
              data-client-order-id={order.client_order_id}
              data-status={order.status}
            >
              <Cells order={order} />
              <td data-label="End">
                <span class={`status ${order.status}`}>{statusText(order)}</span>{" "}
                <span class="dim why">{reasonSentence(order.reason)}</span>
              </td>
              <td class="num r dim" data-label="Time">
                {order.updated_ms > 0 ? <Time at_ms={order.updated_ms} /> : "–"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {past.value?.next_before ? (
        <button type="button" class="more" onClick={() => void load(past.peek()?.next_before ?? undefined)}>
          Show earlier orders
        </button>
      ) : null}
    </div>
  );
}
