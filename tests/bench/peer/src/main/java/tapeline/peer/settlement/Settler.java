package tapeline.peer.settlement;

import java.util.function.ToIntFunction;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import tapeline.Execution;
import tapeline.Settlement;
import tapeline.peer.Positions;
import tapeline.peer.wire.AvroSerde;
import tapeline.peer.wire.RecordReaders;
import tapeline.peer.wire.Topics;

/** The third stage: {@code trades.executed} in, {@code trades.settled} out. It has no state. */
public final class Settler {
    private static final String EXECUTIONS_SOURCE = "executed-source";
    private static final String SETTLE = "settle";
    private static final String SETTLED_SINK = "settled-sink";

    private Settler() {}

    /** Adds the stage. */
    public static void addTo(Topology topology, ToIntFunction<String> schemaIds) {
        topology.addSource(
                EXECUTIONS_SOURCE,
                new StringDeserializer(),
                AvroSerde.framed(schemaIds.applyAsInt(Topics.EXECUTED), RecordReaders::execution).deserializer(),
                Topics.EXECUTED);
        topology.addProcessor(SETTLE, Settle::new, EXECUTIONS_SOURCE);
        topology.addSink(
                SETTLED_SINK,
                Topics.SETTLED,
                new StringSerializer(),
                AvroSerde.frameSerializer(schemaIds.applyAsInt(Topics.SETTLED)),
                SETTLE);
    }

    private static final class Settle implements Processor<String, Execution, String, Settlement> {
        private ProcessorContext<String, Settlement> context;

        @Override
        public void init(ProcessorContext<String, Settlement> context) {
            this.context = context;
        }

        @Override
        public void process(Record<String, Execution> record) {
            RecordMetadata position = context.recordMetadata().orElseThrow();
            long executionId = Positions.identity(position.partition(), position.offset());
            Settlements.settle(
                    executionId,
                    record.timestamp(),
                    record.value(),
                    settlement -> context.forward(
                            new Record<>(settlement.getAccount(), settlement, record.timestamp())));
        }
    }
}
