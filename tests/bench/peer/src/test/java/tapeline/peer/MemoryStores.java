package tapeline.peer;

import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.streams.processor.StateStoreContext;
import org.apache.kafka.streams.processor.api.MockProcessorContext;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** State stores without a topology around them: entries go through their serdes as they do in production. */
public final class MemoryStores {
    private final StateStoreContext context = new MockProcessorContext<Void, Void>().getStateStoreContext();

    /** A new store. */
    public <K, V> KeyValueStore<K, V> make(String name, Serde<K> keys, Serde<V> values) {
        StoreBuilder<KeyValueStore<K, V>> builder =
                Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), keys, values).withLoggingDisabled();
        KeyValueStore<K, V> store = builder.build();
        store.init(context, store);
        return store;
    }
}
