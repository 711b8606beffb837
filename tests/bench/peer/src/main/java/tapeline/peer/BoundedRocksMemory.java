package tapeline.peer;

import java.util.Map;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.Cache;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;
import org.rocksdb.WriteBufferManager;

/**
 * One budget of memory for all RocksDB instances of the process (each store of each task is one), as Kafka Streams'
 * page on memory management advises: a shared cache that memtables, indices and filters are charged to.
 */
public final class BoundedRocksMemory implements RocksDBConfigSetter {
    private static final long TOTAL_BYTES = 512L << 20;
    private static final long MEMTABLE_BYTES = 256L << 20;
    /** Part of the cache for indices and filters, so that data blocks do not push them out. */
    private static final double INDEX_SHARE = 0.1;
    /** As RocksDB chooses itself. */
    private static final int SHARD_BITS = -1;

    private static final Cache CACHE = new LRUCache(TOTAL_BYTES, SHARD_BITS, false, INDEX_SHARE);
    private static final WriteBufferManager MEMTABLES = new WriteBufferManager(MEMTABLE_BYTES, CACHE);

    @Override
    public void setConfig(String storeName, Options options, Map<String, Object> configs) {
        BlockBasedTableConfig table = (BlockBasedTableConfig) options.tableFormatConfig();
        table.setBlockCache(CACHE);
        table.setCacheIndexAndFilterBlocks(true);
        table.setCacheIndexAndFilterBlocksWithHighPriority(true);
        table.setPinTopLevelIndexAndFilter(true);
        options.setWriteBufferManager(MEMTABLES);
        options.setTableFormatConfig(table);
    }

    @Override
    public void close(String storeName, Options options) {
        // The shared objects live as long as the process.
    }
}
