package tapeline.peer;

import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.StreamsConfig;

/** Settings of Kafka Streams, each with its reason; README.md has them as a table. What is not here is Streams' default. */
final class StreamsSettings {
    private static final long CACHE_BYTES = 64L << 20;
    private static final int BATCH_BYTES = 128 << 10;
    private static final int LINGER_MS = 20;
    private static final int BUFFERED_RECORDS = 5_000;
    private static final long LEAST_POLL_MS = 2;
    private static final long MOST_POLL_MS = 100;

    private StreamsSettings() {}

    static Properties of(Options options) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.applicationId());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.kafka());
        settings.put(StreamsConfig.STATE_DIR_CONFIG, options.stateDir().toString());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.threads());
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, options.commitIntervalMs());
        // An idle thread looks at the commit interval only when its poll returns: with the default of 100 ms the last
        // records before a pause would be committed up to 100 ms late, whatever the interval is.
        long pollMs = Math.max(LEAST_POLL_MS, Math.min(MOST_POLL_MS, options.commitIntervalMs() / 4));
        settings.put(StreamsConfig.POLL_MS_CONFIG, pollMs);
        // Merges the changes of busy accounts and books within a commit interval, and so spares changelog records.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
        // Larger rounds of poll and process; partitions are paused and resumed less often.
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, BUFFERED_RECORDS);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), BUFFERED_RECORDS);
        // A restarted process takes its old place in the group at once instead of waiting for the old member's session
        // to end.
        settings.put(
                StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), options.applicationId() + "-1");
        // Outputs of all tasks and changelogs share one producer a thread: batches fill while records are processed, so
        // that a commit has little left to send.
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), BATCH_BYTES);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), LINGER_MS);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        // All RocksDB instances together stay within one budget.
        settings.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, BoundedRocksMemory.class);
        // Nobody reads the clients' metrics over Kafka here.
        settings.put(StreamsConfig.ENABLE_METRICS_PUSH_CONFIG, false);
        return settings;
    }
}
