package tapeline.peer.matching;

/**
 * Where the books are kept for a restart. {@link Matching} writes here what each command has changed; it never reads.
 * {@link StoredBooks} is the one over state stores.
 */
interface BookStore {
    /** A resting or waiting order is new or has changed. */
    void put(Order order);

    /** An order has left its book. */
    void delete(long orderId);

    /** Price of an instrument's last trade. */
    void putLastPrice(String symbol, long price);

    /** The counters have moved. */
    void putSequences(Sequences sequences);
}
