package tapeline.peer.matching;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.avro.io.Decoder;
import org.apache.avro.io.Encoder;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import tapeline.SelfTradePrevention;
import tapeline.peer.wire.AvroSerde;
import tapeline.peer.wire.RecordReaders;

/**
 * The books in state stores: one entry for each resting or waiting order, one for each instrument that has traded, one
 * for the counters.
 *
 * @param orders by order id
 * @param lastPrices by symbol
 * @param sequences the one entry has the key {@link #COUNTERS}
 */
record StoredBooks(
        KeyValueStore<Long, Order> orders,
        KeyValueStore<String, Long> lastPrices,
        KeyValueStore<String, Sequences> sequences)
        implements BookStore {

    /** Names of the stores. */
    static final String ORDERS = "book-orders";
    static final String LAST_PRICES = "last-prices";
    static final String SEQUENCES = "sequences";

    static final Serde<Order> ORDER_SERDE = AvroSerde.bare(StoredBooks::write, StoredBooks::read);
    private static final String COUNTERS = "counters";
    private static final SelfTradePrevention[] PREVENTIONS = SelfTradePrevention.values();

    @Override
    public void put(Order order) {
        orders.put(order.state.getOrderId(), order);
    }

    @Override
    public void delete(long orderId) {
        orders.delete(orderId);
    }

    @Override
    public void putLastPrice(String symbol, long price) {
        lastPrices.put(symbol, price);
    }

    @Override
    public void putSequences(Sequences counters) {
        sequences.put(COUNTERS, counters);
    }

    /** Gives {@code matching}, which is new, all that the stores hold. */
    void restoreInto(Matching matching) {
        Map<String, Long> prices = new HashMap<>();
        try (KeyValueIterator<String, Long> all = lastPrices.all()) {
            all.forEachRemaining(entry -> prices.put(entry.key, entry.value));
        }
        List<Order> stored = new ArrayList<>();
        try (KeyValueIterator<Long, Order> all = orders.all()) {
            all.forEachRemaining(entry -> stored.add(entry.value));
        }
        Sequences counters = Objects.requireNonNullElse(sequences.get(COUNTERS), Sequences.FIRST);
        matching.restore(stored, prices, counters);
    }

    private static void write(Order order, Encoder out) throws IOException {
        order.state.customEncode(out);
        out.writeLong(order.entry);
        out.writeLong(order.displayQuantity);
        out.writeLong(order.expiresAtMs);
        out.writeBoolean(order.isPostOnly);
        out.writeEnum(order.selfTradePrevention.ordinal());
        out.writeLong(order.turn);
        out.writeLong(order.displayed);
    }

    private static Order read(Decoder in) throws IOException {
        Order order = new Order(
                RecordReaders.orderState(in),
                in.readLong(),
                in.readLong(),
                in.readLong(),
                in.readBoolean(),
                RecordReaders.symbol(in, PREVENTIONS));
        order.turn = in.readLong();
        order.displayed = in.readLong();
        return order;
    }
}
