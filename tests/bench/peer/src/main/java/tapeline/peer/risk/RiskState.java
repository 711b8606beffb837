package tapeline.peer.risk;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import tapeline.Account;
import tapeline.Instrument;

/**
 * The validator's state in its stores. What a {@code get} returns is a copy: a change counts when it is put back.
 *
 * @param instruments by symbol; the same for all tasks
 * @param accounts reference data by account
 * @param funds by account
 * @param openOrders by order id
 * @param verdicts by account and client order id
 */
record RiskState(
        ReadOnlyKeyValueStore<String, Instrument> instruments,
        KeyValueStore<String, Account> accounts,
        KeyValueStore<String, Funds> funds,
        KeyValueStore<Long, OpenOrder> openOrders,
        KeyValueStore<String, FirstVerdict> verdicts) {

    /** Names of the stores. */
    static final String INSTRUMENTS = "instruments";
    static final String ACCOUNTS = "accounts";
    static final String FUNDS = "funds";
    static final String OPEN_ORDERS = "open-orders";
    static final String VERDICTS = "first-verdicts";

    /** How long a client order id is remembered, by the commands' own times. */
    static final long DUPLICATE_WINDOW_MS = 24L * 60 * 60 * 1_000;

    Instrument instrument(String symbol) {
        return symbol == null ? null : instruments.get(symbol);
    }

    /** The account's funds; empty ones if it has none yet. */
    Funds fundsOf(String account) {
        return Objects.requireNonNullElseGet(funds.get(account), Funds::new);
    }

    /** The open order that a client order id of the account placed, with its identity; null if there is none. */
    KeyValue<Long, OpenOrder> openOrder(String account, String clientOrderId) {
        FirstVerdict first = verdicts.get(verdictKey(account, clientOrderId));
        OpenOrder order = first == null ? null : openOrders.get(first.commandId());
        return order == null ? null : KeyValue.pair(first.commandId(), order);
    }

    /** The first verdict on a client order id: of the last 24 hours, or that of an order which is open still. */
    FirstVerdict firstVerdict(String account, String clientOrderId, long nowMs) {
        FirstVerdict first = verdicts.get(verdictKey(account, clientOrderId));
        return first == null || isForgotten(first, nowMs) ? null : first;
    }

    void remember(String account, String clientOrderId, FirstVerdict verdict) {
        verdicts.put(verdictKey(account, clientOrderId), verdict);
    }

    /** Deletes what {@link #firstVerdict} does not look at any more. */
    void purgeVerdicts(long nowMs) {
        List<String> old = new ArrayList<>();
        try (KeyValueIterator<String, FirstVerdict> all = verdicts.all()) {
            while (all.hasNext()) {
                KeyValue<String, FirstVerdict> entry = all.next();
                if (isForgotten(entry.value, nowMs)) {
                    old.add(entry.key);
                }
            }
        }
        old.forEach(verdicts::delete);
    }

    private boolean isForgotten(FirstVerdict verdict, long nowMs) {
        return nowMs - verdict.atMs() > DUPLICATE_WINDOW_MS && openOrders.get(verdict.commandId()) == null;
    }

    /** Names hold no control characters, so two names can't be mistaken for other two. */
    private static String verdictKey(String account, String clientOrderId) {
        return account + '\0' + clientOrderId;
    }
}
