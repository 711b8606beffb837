package tapeline.peer.matching;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import tapeline.Side;

/** One instrument: both sides of its book, waiting stops, who owns which order, and the best quotes. */
final class Book {
    private static final Comparator<Order> BY_TRIGGER =
            Comparator.comparingLong(Order::triggerKey).thenComparingLong(order -> order.entry);
    private static final Comparator<Order> BY_ENTRY = Comparator.comparingLong(order -> order.entry);

    final String symbol;
    final BookSide bids = new BookSide(Side.BUY);
    final BookSide asks = new BookSide(Side.SELL);
    /** What a trade elects stands in front. */
    private final TreeSet<Order> buyStops = new TreeSet<>(BY_TRIGGER);
    private final TreeSet<Order> sellStops = new TreeSet<>(BY_TRIGGER);
    /** Resting and waiting orders by account and id: a cancel-all goes by ids. */
    private final Map<String, TreeMap<Long, Order>> byAccount = new HashMap<>();

    /** Price of the last trade, 0 if there was none. */
    private long lastPrice;
    /** Lowest and highest trade price since stops were elected last; 0 if nothing traded. */
    private long lowPrint;
    private long highPrint;
    private final Quotes told = new Quotes();

    /** Best displayed quotes; zeros where there are none. */
    private static final class Quotes {
        long bidPrice;
        long bidQuantity;
        long askPrice;
        long askQuantity;
    }

    Book(String symbol) {
        this.symbol = symbol;
    }

    BookSide side(Side side) {
        return side == Side.BUY ? bids : asks;
    }

    long lastPrice() {
        return lastPrice;
    }

    /** The last trade price of before a restart. */
    void restoreLastPrice(long price) {
        lastPrice = price;
    }

    /** Whether something has traded since stops were elected last. */
    boolean hasPrinted() {
        return highPrint != 0;
    }

    void recordTrade(long price) {
        lastPrice = price;
        lowPrint = hasPrinted() ? Math.min(lowPrint, price) : price;
        highPrint = Math.max(highPrint, price);
    }

    /** Whether the last trade price has reached the order's stop price. */
    boolean hasReached(Order order) {
        Side opposite = Order.opposite(order.state.getSide());
        return lastPrice != 0 && order.triggerKey() <= Order.priceKey(opposite, lastPrice);
    }

    /** A stop begins to wait. */
    void await(Order order) {
        stops(order.state.getSide()).add(order);
    }

    /** Takes the stops out that the trades since the last call have elected, in the order in which they came in. */
    void elect(Collection<Order> elected) {
        if (!hasPrinted()) {
            return;
        }
        List<Order> found = new ArrayList<>();
        electSide(Side.BUY, highPrint, found);
        electSide(Side.SELL, lowPrint, found);
        lowPrint = 0;
        highPrint = 0;
        found.sort(BY_ENTRY);
        elected.addAll(found);
    }

    private void electSide(Side side, long price, List<Order> found) {
        TreeSet<Order> stops = stops(side);
        long reached = Order.priceKey(Order.opposite(side), price);
        while (!stops.isEmpty() && stops.first().triggerKey() <= reached) {
            found.add(stops.pollFirst());
        }
    }

    /** Takes a resting or waiting order out of its queue. */
    void detach(Order order) {
        if (order.isWaiting()) {
            stops(order.state.getSide()).remove(order);
        } else {
            side(order.state.getSide()).remove(order);
        }
    }

    void own(Order order) {
        byAccount.computeIfAbsent(order.state.getAccount(), account -> new TreeMap<>())
                .put(order.state.getOrderId(), order);
    }

    void disown(Order order) {
        TreeMap<Long, Order> owned = byAccount.get(order.state.getAccount());
        owned.remove(order.state.getOrderId());
        if (owned.isEmpty()) {
            byAccount.remove(order.state.getAccount());
        }
    }

    /** Resting and waiting orders of an account, by id. */
    List<Order> ownedBy(String account) {
        TreeMap<Long, Order> owned = byAccount.get(account);
        return owned == null ? List.of() : new ArrayList<>(owned.values());
    }

    /** Whether the best quotes differ from those of the last call. */
    boolean haveQuotesChanged() {
        boolean same = told.bidPrice == bids.bestPrice()
                && told.bidQuantity == bids.bestQuantity()
                && told.askPrice == asks.bestPrice()
                && told.askQuantity == asks.bestQuantity();
        told.bidPrice = bids.bestPrice();
        told.bidQuantity = bids.bestQuantity();
        told.askPrice = asks.bestPrice();
        told.askQuantity = asks.bestQuantity();
        return !same;
    }

    private TreeSet<Order> stops(Side side) {
        return side == Side.BUY ? buyStops : sellStops;
    }
}
