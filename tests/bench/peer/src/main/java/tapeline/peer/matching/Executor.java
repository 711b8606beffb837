package tapeline.peer.matching;

import java.util.function.ToIntFunction;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import tapeline.Execution;
import tapeline.ValidatedCommand;
import tapeline.peer.StoreKind;
import tapeline.peer.wire.AvroSerde;
import tapeline.peer.wire.RecordReaders;
import tapeline.peer.wire.Topics;

/** The second stage: {@code orders.validated} and {@code clock} in, {@code trades.executed} out. One book per instrument. */
public final class Executor {
    private static final String COMMANDS_SOURCE = "validated-source";
    private static final String CLOCK_SOURCE = "clock-source";
    private static final String MATCH = "match";
    private static final String EXECUTED_SINK = "executed-sink";

    private Executor() {}

    /** Adds the stage. */
    public static void addTo(Topology topology, ToIntFunction<String> schemaIds, StoreKind stores) {
        topology.addSource(
                COMMANDS_SOURCE,
                new StringDeserializer(),
                AvroSerde.framed(schemaIds.applyAsInt(Topics.VALIDATED), RecordReaders::validated).deserializer(),
                Topics.VALIDATED);
        topology.addSource(
                CLOCK_SOURCE,
                new StringDeserializer(),
                AvroSerde.framed(schemaIds.applyAsInt(Topics.CLOCK), RecordReaders::tick).deserializer(),
                Topics.CLOCK);
        topology.addProcessor(MATCH, Match::new, COMMANDS_SOURCE, CLOCK_SOURCE);
        topology.addStateStore(stores.changing(StoredBooks.ORDERS, Serdes.Long(), StoredBooks.ORDER_SERDE), MATCH);
        topology.addStateStore(stores.changing(StoredBooks.LAST_PRICES, Serdes.String(), Serdes.Long()), MATCH);
        topology.addStateStore(stores.changing(StoredBooks.SEQUENCES, Serdes.String(), Sequences.SERDE), MATCH);
        topology.addSink(
                EXECUTED_SINK,
                Topics.EXECUTED,
                new StringSerializer(),
                AvroSerde.frameSerializer(schemaIds.applyAsInt(Topics.EXECUTED)),
                MATCH);
    }

    /** Holds the books in memory over the stores. Streams calls {@code init} when the stores are restored. */
    static final class Match implements Processor<String, SpecificRecord, String, Execution> {
        private Matching matching;
        private ProcessorContext<String, Execution> context;
        private long recordTimeMs;

        @Override
        public void init(ProcessorContext<String, Execution> context) {
            this.context = context;
            StoredBooks books = new StoredBooks(
                    context.getStateStore(StoredBooks.ORDERS),
                    context.getStateStore(StoredBooks.LAST_PRICES),
                    context.getStateStore(StoredBooks.SEQUENCES));
            matching = new Matching(context.taskId().partition(), books, this::forward);
            books.restoreInto(matching);
        }

        @Override
        public void process(Record<String, SpecificRecord> record) {
            recordTimeMs = record.timestamp();
            if (record.value() instanceof ValidatedCommand command) {
                matching.apply(recordTimeMs, command);
            } else {
                matching.tick(recordTimeMs);
            }
        }

        @Override
        public void close() {
            // Its stores may change hands before it is used again.
            matching = null;
        }

        private void forward(Execution execution) {
            String instrument = execution.getInstrument();
            String key = instrument == null ? execution.getAccount() : instrument;
            context.forward(new Record<>(key, execution, recordTimeMs));
        }
    }
}
