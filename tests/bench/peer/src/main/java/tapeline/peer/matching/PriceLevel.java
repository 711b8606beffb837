package tapeline.peer.matching;

/** The orders at one price, earliest first: a queue through the orders themselves. */
final class PriceLevel {
    final long key;
    Order head;
    private Order tail;
    /** Sum of the displayed slices. */
    private long displayed;

    PriceLevel(long key) {
        this.key = key;
    }

    long displayed() {
        return displayed;
    }

    boolean isEmpty() {
        return head == null;
    }

    /** Appends an order with the slice that shows of it. */
    void append(Order order) {
        displayed = Math.addExact(displayed, order.displayed);
        order.previous = tail;
        order.next = null;
        if (tail == null) {
            head = order;
        } else {
            tail.next = order;
        }
        tail = order;
    }

    void remove(Order order) {
        displayed -= order.displayed;
        order.displayed = 0;
        if (order.previous == null) {
            head = order.next;
        } else {
            order.previous.next = order.next;
        }
        if (order.next == null) {
            tail = order.previous;
        } else {
            order.next.previous = order.previous;
        }
        order.previous = null;
        order.next = null;
    }

    /** Shows {@code quantity} less of an order that stays in its place. */
    void showLess(Order order, long quantity) {
        order.displayed -= quantity;
        displayed -= quantity;
    }
}
