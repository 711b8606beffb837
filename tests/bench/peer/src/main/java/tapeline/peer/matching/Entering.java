package tapeline.peer.matching;

import java.util.Iterator;
import tapeline.CancelReason;
import tapeline.OrderStatus;
import tapeline.SelfTradePrevention;
import tapeline.TimeInForce;
import tapeline.peer.Positions;

/** An order enters the book: it takes what it may, best price first, then earliest, and rests or ends. */
final class Entering {
    private final int partition;
    private final LiveOrders orders;
    private final Executions executions;

    Entering(int partition, LiveOrders orders, Executions executions) {
        this.partition = partition;
        this.orders = orders;
        this.executions = executions;
    }

    /** Brings an awake order into its book. */
    void enter(Order order) {
        Book book = orders.book(order.state.getInstrument());
        BookSide opposite = book.side(Order.opposite(order.state.getSide()));
        if (order.isPostOnly && crosses(opposite, order)) {
            end(order, CancelReason.POST_ONLY);
            return;
        }
        if (order.isFillOrKill() && !canFill(order, opposite)) {
            end(order, CancelReason.FILL_OR_KILL);
            return;
        }
        if (!take(order, book, opposite)) {
            return;
        }
        CancelReason reason = whyNotRest(order);
        if (reason == null) {
            orders.rest(order);
        } else {
            end(order, reason);
        }
    }

    private static boolean crosses(BookSide opposite, Order order) {
        return opposite.best() != null && opposite.best().key <= order.limitKey();
    }

    /**
     * Fill-or-kill: whether the book would fill it whole. Goes through the other side in priority order: at each price
     * first what shows, then what icebergs hide, since a new slice goes behind all that shows. An own order on the way
     * is passed over if the mode would remove it; any other mode would end or reduce the taker there.
     */
    private static boolean canFill(Order taker, BookSide opposite) {
        long missing = taker.state.getLeaves();
        for (Iterator<PriceLevel> levels = opposite.upTo(taker.limitKey()); levels.hasNext(); ) {
            long hidden = 0;
            for (Order maker = levels.next().head; maker != null; maker = maker.next) {
                if (maker.state.getAccount().equals(taker.state.getAccount())) {
                    if (taker.selfTradePrevention == SelfTradePrevention.CANCEL_OLDEST) {
                        continue;
                    }
                    return false;
                }
                missing -= maker.displayed;
                if (missing <= 0) {
                    return true;
                }
                // No more than is missing counts, so that the sum stays in range.
                hidden = Math.min(missing, hidden + maker.state.getLeaves() - maker.displayed);
            }
            missing -= hidden;
            if (missing <= 0) {
                return true;
            }
        }
        return false;
    }

    /** Trades while prices cross. False if the order has ended on the way. */
    private boolean take(Order taker, Book book, BookSide opposite) {
        while (crosses(opposite, taker)) {
            Order maker = opposite.best().head;
            if (maker.state.getAccount().equals(taker.state.getAccount())) {
                if (!preventSelfTrade(taker, maker, opposite)) {
                    return false;
                }
                continue;
            }
            trade(taker, maker, book, opposite);
            if (taker.state.getLeaves() == 0) {
                return false;
            }
        }
        return true;
    }

    /** One trade at the maker's price with the maker's displayed slice. */
    private void trade(Order taker, Order maker, Book book, BookSide opposite) {
        long tradeId = Positions.identity(partition, orders.takeTradeSequence());
        long price = maker.state.getPrice();
        long quantity = Math.min(taker.state.getLeaves(), maker.displayed);
        taker.fill(quantity);
        maker.fill(quantity);
        executions.traded(tradeId, price, quantity, taker, maker);
        orders.recordTrade(book, price);
        if (quantity < maker.displayed) {
            opposite.showLess(maker, quantity);
            orders.change(maker);
            return;
        }
        opposite.remove(maker);
        if (maker.state.getLeaves() > 0) {
            orders.join(maker);
        } else {
            orders.forget(maker);
        }
    }

    /**
     * The incoming order has met a resting one of its own account. The resting one's execution comes first. False if
     * the incoming order has ended.
     *
     * <p>{@code DECREMENT_AND_CANCEL}: the one that lives on is amended, its {@code leaves} and reservation smaller,
     * its total {@code quantity} as before. One that reaches zero is cancelled; its {@code leaves} says what it gave
     * up, as for each cancelled order, so both lose the same quantity.
     */
    private boolean preventSelfTrade(Order taker, Order maker, BookSide opposite) {
        SelfTradePrevention mode = taker.selfTradePrevention;
        long own = taker.state.getLeaves();
        long other = maker.state.getLeaves();
        boolean decrements = mode == SelfTradePrevention.DECREMENT_AND_CANCEL;
        if (decrements && other > own) {
            maker.decrement(own);
            executions.amended(maker, true);
            opposite.shrink(maker);
            orders.change(maker);
        } else if (mode != SelfTradePrevention.CANCEL_NEWEST) {
            orders.remove(maker);
            end(maker, CancelReason.SELF_TRADE);
        }
        if (mode == SelfTradePrevention.CANCEL_OLDEST) {
            return true;
        }
        if (decrements && own > other) {
            taker.decrement(other);
            executions.amended(taker, true);
            return true;
        }
        end(taker, CancelReason.SELF_TRADE);
        return false;
    }

    /** Why what is left of an order may not rest; null if it may. */
    private static CancelReason whyNotRest(Order order) {
        if (order.isFillOrKill()) {
            return CancelReason.FILL_OR_KILL;
        }
        if (order.isMarket()) {
            return CancelReason.NO_LIQUIDITY;
        }
        return order.state.getTimeInForce() == TimeInForce.IOC ? CancelReason.IMMEDIATE_OR_CANCEL : null;
    }

    private void end(Order order, CancelReason reason) {
        order.end(OrderStatus.CANCELLED, 0);
        executions.cancelled(order, reason);
    }
}
