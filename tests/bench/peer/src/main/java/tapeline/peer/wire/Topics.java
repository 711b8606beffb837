package tapeline.peer.wire;

import java.util.List;

/** Names of Tapeline's topics. Their partitions, keys and retention are in {@code topology.toml} of the repository. */
public final class Topics {
    /** Commands, by account. */
    public static final String ORDERS = "orders";
    /** Accepted commands, by instrument; transfers by account. */
    public static final String VALIDATED = "orders.validated";
    /** Refused commands, by account. */
    public static final String REJECTED = "orders.rejected";
    /** What the book did, by instrument; transfers by account. */
    public static final String EXECUTED = "trades.executed";
    /** Ledger postings, by account. */
    public static final String SETTLED = "trades.settled";
    /** Reference data, by symbol, in one partition. */
    public static final String INSTRUMENTS = "reference.instruments";
    /** Reference data, by account. */
    public static final String ACCOUNTS = "reference.accounts";
    /** One tick to each partition. */
    public static final String CLOCK = "clock";

    /** All that the pipeline reads or writes. */
    public static final List<String> ALL =
            List.of(ORDERS, VALIDATED, REJECTED, EXECUTED, SETTLED, INSTRUMENTS, ACCOUNTS, CLOCK);

    private Topics() {}

    /** The subject of a topic's values in the registry. */
    public static String subject(String topic) {
        return topic + "-value";
    }
}
