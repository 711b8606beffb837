package tapeline.peer.matching;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import tapeline.CancelReason;
import tapeline.Execution;
import tapeline.OrderStatus;
import tapeline.RefuseReason;
import tapeline.ValidatedCommand;
import tapeline.peer.Money;

/**
 * The matching core: strict price-time priority for all books of one executor partition, in memory. What a command
 * changes is written to a {@link BookStore} before {@link #apply} returns, from which a restart rebuilds the books.
 *
 * <p>Executions of a command, in order: ACCEPTED first if it places an order, then what happened, one by one as it
 * happened, then what the stop orders did that it elected, and at the end at most one QUOTED.
 *
 * <p>What is absent: clocks, random numbers, floating point, Kafka, and every check that the validator has done.
 */
final class Matching {
    private final LiveOrders orders;
    private final Executions executions;
    private final Entering entering;
    /** Stops that are elected and have not run yet. Empty between commands. */
    private final ArrayDeque<Order> elected = new ArrayDeque<>();

    /** No books. Trade ids are made of {@code partition} and a sequence that starts at 1. */
    Matching(int partition, BookStore store, Consumer<Execution> receiver) {
        orders = new LiveOrders(store);
        executions = new Executions(receiver);
        entering = new Entering(partition, orders, executions);
    }

    /** Takes over what a store held. To be called before anything else. */
    void restore(Collection<Order> stored, Map<String, Long> lastPrices, Sequences sequences) {
        orders.restore(stored, lastPrices, sequences);
    }

    /** Carries out one command. {@code validatedAtMs} is the append time of its record in {@code orders.validated}. */
    void apply(long validatedAtMs, ValidatedCommand command) {
        executions.begin(command.getCommandId(), command.getCommandedAtMs(), validatedAtMs);
        Book touched = switch (command.getKind()) {
            case PLACE -> place(command);
            case AMEND -> amend(command);
            case CANCEL -> cancel(command);
            case CANCEL_ALL -> cancelAll(command);
            case DEPOSIT -> transfer(command, command.getAmount());
            case WITHDRAW -> transfer(command, -command.getAmount());
            case UNKNOWN -> throw new IllegalArgumentException("a reader lets no UNKNOWN pass");
        };
        if (touched != null) {
            runStops(touched);
            quote(touched);
        }
        orders.save();
    }

    /**
     * Expires each resting or waiting order whose time has come at {@code nowMs}, the tick's own time, then tells the
     * changed quotes of the touched books by symbol. Executions carry the expired order's id as their command; a quote
     * that of the last order expired in its book.
     */
    void tick(long nowMs) {
        TreeMap<String, Long> lastExpired = new TreeMap<>();
        for (Order order : orders.expired(nowMs)) {
            orders.remove(order);
            order.end(OrderStatus.EXPIRED, 0);
            executions.begin(order.state.getOrderId(), nowMs, nowMs);
            executions.expired(order);
            lastExpired.put(order.state.getInstrument(), order.state.getOrderId());
        }
        lastExpired.forEach((symbol, orderId) -> {
            executions.begin(orderId, nowMs, nowMs);
            quote(orders.book(symbol));
        });
        orders.save();
    }

    private Book place(ValidatedCommand command) {
        Book book = orders.book(command.getInstrument());
        Order order = Order.placed(command, orders.takeEntry());
        executions.accepted(order);
        if (!order.isSound()) {
            // Never true for what the validator lets through. It still reaches its one end, and its funds are freed.
            order.end(OrderStatus.CANCELLED, 0);
            executions.cancelled(order, CancelReason.NO_LIQUIDITY);
        } else if (!order.isWaiting()) {
            entering.enter(order);
        } else if (book.hasReached(order)) {
            trigger(order);
        } else {
            orders.await(order);
        }
        return book;
    }

    /**
     * Quantity lowered (or unchanged) at the same price keeps the order's place; all else sends it to the back, and it
     * takes if it crosses now. A waiting stop has no place to lose.
     */
    private Book amend(ValidatedCommand command) {
        Order order = findOwn(command);
        if (order == null) {
            executions.refused(command, RefuseReason.NOT_OPEN);
            return null;
        }
        long price = command.getPrice() == null ? order.state.getPrice() : command.getPrice();
        long quantity = command.getQuantity() == null ? order.state.getQuantity() : command.getQuantity();
        long extra = command.getReservedAmount();
        // The leaves move by as much as the total does, so that what self-trade prevention took stays taken.
        long gone = order.state.getQuantity() - order.state.getLeaves();
        boolean hasNewPrice = command.getPrice() != null;
        if ((hasNewPrice && order.isMarket()) || price < 1 || price > Money.MAX_UNITS) {
            executions.refused(command, RefuseReason.NOT_AMENDABLE);
        } else if (quantity <= gone) {
            orders.remove(order);
            order.end(OrderStatus.CANCELLED, extra);
            executions.cancelled(order, CancelReason.AMENDED_TO_FILLED);
        } else if (!isCovered(order, price, quantity, quantity - gone, extra)) {
            executions.refused(command, RefuseReason.RESERVATION_TOO_SMALL);
        } else {
            change(order, price, quantity, quantity - gone, extra);
        }
        return orders.book(order.state.getInstrument());
    }

    private static boolean isCovered(Order order, long price, long quantity, long leaves, long extra) {
        long needed = order.needed(price, leaves);
        return needed != Money.OUT_OF_RANGE
                && needed <= order.state.getReservedAfter() + extra
                && quantity <= Money.MAX_UNITS;
    }

    private void change(Order order, long price, long quantity, long leaves, long extra) {
        boolean waits = order.isWaiting();
        boolean keepsPlace =
                waits || (price == order.state.getPrice() && quantity <= order.state.getQuantity());
        if (!keepsPlace) {
            orders.remove(order);
            order.amend(price, quantity, leaves, extra);
            executions.amended(order, false);
            entering.enter(order);
            return;
        }
        order.amend(price, quantity, leaves, extra);
        executions.amended(order, true);
        if (!waits) {
            orders.book(order.state.getInstrument()).side(order.state.getSide()).shrink(order);
        }
        orders.change(order);
    }

    private Book cancel(ValidatedCommand command) {
        Order order = findOwn(command);
        if (order == null) {
            executions.refused(command, RefuseReason.NOT_OPEN);
            return null;
        }
        cancelStored(order, CancelReason.REQUESTED);
        return orders.book(order.state.getInstrument());
    }

    /** Cancels the account's resting and waiting orders in one book, in order of their ids. */
    private Book cancelAll(ValidatedCommand command) {
        Book book = orders.book(command.getInstrument());
        List<Order> owned = book.ownedBy(command.getAccount());
        if (owned.isEmpty()) {
            executions.refused(command, RefuseReason.NOTHING_TO_CANCEL);
            return null;
        }
        owned.forEach(order -> cancelStored(order, CancelReason.CANCEL_ALL));
        return book;
    }

    private Book transfer(ValidatedCommand command, long amount) {
        executions.transferred(command, amount);
        return null;
    }

    private void cancelStored(Order order, CancelReason reason) {
        orders.remove(order);
        order.end(OrderStatus.CANCELLED, 0);
        executions.cancelled(order, reason);
    }

    /** The commanding account's own open order in that book; null if there is none. */
    private Order findOwn(ValidatedCommand command) {
        Order order = orders.find(command.getTargetOrderId());
        boolean isOwn = order != null
                && order.state.getAccount().equals(command.getAccount())
                && order.state.getInstrument().equals(command.getInstrument());
        return isOwn ? order : null;
    }

    /**
     * Runs the stops that the command's trades have elected, and those that these elect. Each single trade elects: a
     * sweep wakes the stops of all prices that it went through.
     */
    private void runStops(Book book) {
        book.elect(elected);
        while (!elected.isEmpty()) {
            Order order = elected.poll();
            orders.forget(order);
            trigger(order);
            book.elect(elected);
        }
    }

    private void trigger(Order order) {
        order.trigger();
        executions.triggered(order);
        entering.enter(order);
    }

    /** Tells the best quotes if they differ from those told last. */
    private void quote(Book book) {
        if (book.haveQuotesChanged()) {
            executions.quoted(book);
        }
    }
}
