package tapeline.peer;

import java.util.Map;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Where the state lies between two records. Both kinds have a changelog topic, from which a restart rebuilds them. */
public enum StoreKind {
    /** On the heap; a restart reads the whole changelog. */
    MEMORY,
    /** In RocksDB under the state directory; a restart after a clean stop reads what is missing there only. */
    ROCKSDB;

    /** A store whose entries change again and again: a cache merges the changes of one commit interval. */
    public <K, V> StoreBuilder<KeyValueStore<K, V>> changing(String name, Serde<K> keys, Serde<V> values) {
        return builder(name, keys, values).withCachingEnabled();
    }

    /** A store whose entries are written once: a cache would cost and save nothing. */
    public <K, V> StoreBuilder<KeyValueStore<K, V>> writtenOnce(String name, Serde<K> keys, Serde<V> values) {
        return builder(name, keys, values).withCachingDisabled();
    }

    private <K, V> StoreBuilder<KeyValueStore<K, V>> builder(String name, Serde<K> keys, Serde<V> values) {
        KeyValueBytesStoreSupplier supplier =
                this == MEMORY ? Stores.inMemoryKeyValueStore(name) : Stores.persistentKeyValueStore(name);
        return Stores.keyValueStoreBuilder(supplier, keys, values).withLoggingEnabled(Map.of());
    }
}
