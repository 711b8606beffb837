package tapeline.peer.matching;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * All books of one executor partition with their resting and waiting orders, found by id and by expiry, and the
 * partition's counters. It remembers what a command changes until {@link #save} hands it to the store.
 */
final class LiveOrders {
    private static final Comparator<Order> BY_EXPIRY =
            Comparator.<Order>comparingLong(order -> order.expiresAtMs).thenComparingLong(order -> order.state.getOrderId());

    private final Map<String, Book> books = new HashMap<>();
    private final Map<Long, Order> byId = new HashMap<>();
    /** DAY and GTD orders; the others do not expire. */
    private final TreeSet<Order> expiring = new TreeSet<>(BY_EXPIRY);
    private final List<Order> changed = new ArrayList<>();
    private final List<Book> traded = new ArrayList<>();
    private final BookStore store;

    private long nextTrade = Sequences.FIRST.trade();
    private long nextEntry = Sequences.FIRST.entry();
    private long nextTurn = Sequences.FIRST.turn();
    private boolean haveSequencesMoved;

    LiveOrders(BookStore store) {
        this.store = store;
    }

    /** The book of an instrument, made on first use. */
    Book book(String symbol) {
        return books.computeIfAbsent(symbol, Book::new);
    }

    /** A live order; null if there is none. */
    Order find(long orderId) {
        return byId.get(orderId);
    }

    long takeTradeSequence() {
        haveSequencesMoved = true;
        return nextTrade++;
    }

    long takeEntry() {
        haveSequencesMoved = true;
        return nextEntry++;
    }

    /** An order joins the back of its price level, where its next slice shows. */
    void join(Order order) {
        haveSequencesMoved = true;
        order.turn = nextTurn++;
        order.displayed = order.slice();
        bookOf(order).side(order.state.getSide()).append(order);
        change(order);
    }

    /** An order begins to rest. */
    void rest(Order order) {
        insert(order);
        join(order);
    }

    /** A stop begins to wait. */
    void await(Order order) {
        insert(order);
        bookOf(order).await(order);
        change(order);
    }

    /** Takes an order out of its book and out of all indices. */
    void remove(Order order) {
        bookOf(order).detach(order);
        forget(order);
    }

    /** Takes an order that is in no queue any more out of all indices. */
    void forget(Order order) {
        order.isLive = false;
        byId.remove(order.state.getOrderId());
        bookOf(order).disown(order);
        if (order.expiresAtMs != 0) {
            expiring.remove(order);
        }
        change(order);
    }

    /** A live order, or what is left of it, has changed. */
    void change(Order order) {
        if (!order.isChanged) {
            order.isChanged = true;
            changed.add(order);
        }
    }

    void recordTrade(Book book, long price) {
        if (!traded.contains(book)) {
            traded.add(book);
        }
        book.recordTrade(price);
    }

    /** Orders that expire at {@code nowMs} or before, by expiry time and order id. */
    List<Order> expired(long nowMs) {
        List<Order> due = new ArrayList<>();
        for (Order order : expiring) {
            if (order.expiresAtMs > nowMs) {
                break;
            }
            due.add(order);
        }
        return due;
    }

    /** Hands all that has changed since the last call to the store. */
    void save() {
        for (Order order : changed) {
            order.isChanged = false;
            if (order.isLive) {
                order.isStored = true;
                store.put(order);
            } else if (order.isStored) {
                order.isStored = false;
                store.delete(order.state.getOrderId());
            }
        }
        changed.clear();
        for (Book book : traded) {
            store.putLastPrice(book.symbol, book.lastPrice());
        }
        traded.clear();
        if (haveSequencesMoved) {
            haveSequencesMoved = false;
            store.putSequences(new Sequences(nextTrade, nextEntry, nextTurn));
        }
    }

    /** Takes over what the store held, after which the books are as they were when it was saved. */
    void restore(Collection<Order> orders, Map<String, Long> lastPrices, Sequences sequences) {
        nextTrade = sequences.trade();
        nextEntry = sequences.entry();
        nextTurn = sequences.turn();
        lastPrices.forEach((symbol, price) -> book(symbol).restoreLastPrice(price));
        List<Order> byTurn = new ArrayList<>(orders);
        byTurn.sort(Comparator.comparingLong(order -> order.turn));
        for (Order order : byTurn) {
            insert(order);
            order.isStored = true;
            if (order.isWaiting()) {
                bookOf(order).await(order);
            } else {
                bookOf(order).side(order.state.getSide()).append(order);
            }
        }
        // Quotes are told whenever they change, so those of a restored book have been told.
        books.values().forEach(Book::haveQuotesChanged);
    }

    private void insert(Order order) {
        order.isLive = true;
        byId.put(order.state.getOrderId(), order);
        bookOf(order).own(order);
        if (order.expiresAtMs != 0) {
            expiring.add(order);
        }
    }

    private Book bookOf(Order order) {
        return book(order.state.getInstrument());
    }
}
