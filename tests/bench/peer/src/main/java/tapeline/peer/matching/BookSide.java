package tapeline.peer.matching;

import java.util.Iterator;
import java.util.Map;
import java.util.TreeMap;
import tapeline.Side;
import tapeline.peer.Money;

/** One side of a book: price levels by key, best first. */
final class BookSide {
    private final Side side;
    private final TreeMap<Long, PriceLevel> levels = new TreeMap<>();
    /** The first of {@code levels}: every command looks at it, and a tree gives it only by going down. */
    private PriceLevel best;

    BookSide(Side side) {
        this.side = side;
    }

    /** The best level, null if there is none. */
    PriceLevel best() {
        return best;
    }

    /** Best price; 0 if there is none. */
    long bestPrice() {
        return best == null ? 0 : Order.priceKey(side, best.key);
    }

    /** What shows at the best price. */
    long bestQuantity() {
        return best == null ? 0 : Math.min(best.displayed(), Money.MAX_UNITS);
    }

    /** Levels at {@code limitKey} or better, best first. */
    Iterator<PriceLevel> upTo(long limitKey) {
        return levels.headMap(limitKey, true).values().iterator();
    }

    /** Puts an order, with the slice that shows of it, at the back of its price level. */
    void append(Order order) {
        long key = Order.priceKey(side, order.state.getPrice());
        PriceLevel level = best != null && best.key == key ? best : levels.computeIfAbsent(key, PriceLevel::new);
        level.append(order);
        if (best == null || key < best.key) {
            best = level;
        }
    }

    void remove(Order order) {
        PriceLevel level = levelOf(order);
        level.remove(order);
        if (level.isEmpty()) {
            levels.remove(level.key);
            if (level == best) {
                Map.Entry<Long, PriceLevel> first = levels.firstEntry();
                best = first == null ? null : first.getValue();
            }
        }
    }

    /** After the order lost some of its leaves in place: hidden quantity goes first, then what shows. */
    void shrink(Order order) {
        long excess = order.displayed - Math.min(order.displayed, order.state.getLeaves());
        levelOf(order).showLess(order, excess);
    }

    /** A trade took a part of the order's displayed slice. */
    void showLess(Order order, long quantity) {
        levelOf(order).showLess(order, quantity);
    }

    private PriceLevel levelOf(Order order) {
        long key = Order.priceKey(side, order.state.getPrice());
        return best.key == key ? best : levels.get(key);
    }
}
