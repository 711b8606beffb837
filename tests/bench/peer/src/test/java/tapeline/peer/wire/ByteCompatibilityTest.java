package tapeline.peer.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.SortedMap;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.common.errors.SerializationException;
import org.junit.jupiter.api.Test;
import tapeline.Account;
import tapeline.Command;
import tapeline.Execution;
import tapeline.Instrument;
import tapeline.Rejection;
import tapeline.Settlement;
import tapeline.Tick;
import tapeline.ValidatedCommand;

/** Every example of every topic that the pipeline reads or writes comes back byte for byte. */
class ByteCompatibilityTest {
    private static final int SCHEMA_ID = 0x01020304;
    private static final byte[] HEADER = {0, 1, 2, 3, 4};

    @Test
    void examplesOfAllTopicsComeBackByteForByte() throws IOException {
        int count = roundTrip(Topics.ORDERS, RecordReaders::command, Command.class)
                + roundTrip(Topics.VALIDATED, RecordReaders::validated, ValidatedCommand.class)
                + roundTrip(Topics.EXECUTED, RecordReaders::execution, Execution.class)
                + roundTrip(Topics.SETTLED, RecordReaders::settlement, Settlement.class)
                + roundTrip(Topics.INSTRUMENTS, RecordReaders::instrument, Instrument.class)
                + roundTrip(Topics.ACCOUNTS, RecordReaders::account, Account.class)
                + roundTrip(Topics.CLOCK, RecordReaders::tick, Tick.class);
        // The pipeline only writes rejections, so it has no reader of its own for them.
        SpecificDatumReader<Rejection> reader = new SpecificDatumReader<>(Rejection.class);
        count += roundTrip(Topics.REJECTED, in -> reader.read(null, in), Rejection.class);
        assertTrue(count > 150, "only " + count + " examples were read");
    }

    private static <T extends SpecificRecordBase> int roundTrip(String topic, AvroSerde.Reader<T> reader, Class<T> type)
            throws IOException {
        AvroSerde<T> serde = AvroSerde.framed(SCHEMA_ID, reader);
        SortedMap<String, byte[]> examples = Examples.bodies(topic);
        for (Map.Entry<String, byte[]> example : examples.entrySet()) {
            byte[] frame = frame(example.getValue());
            T record = serde.deserializer().deserialize(topic, frame);
            assertArrayEquals(frame, serde.serializer().serialize(topic, record), topic + "/" + example.getKey());
            T byAvro = new SpecificDatumReader<>(type)
                    .read(null, DecoderFactory.get().binaryDecoder(example.getValue(), null));
            assertEquals(byAvro, record, topic + "/" + example.getKey());
        }
        return examples.size();
    }

    @Test
    void recordsOfAnotherSchemaOrWithBytesLeftOverAreRefused() throws IOException {
        byte[] body = Examples.bodies(Topics.CLOCK).get("tick.json");
        AvroSerde<Tick> serde = AvroSerde.framed(SCHEMA_ID, RecordReaders::tick);
        byte[] otherSchema = frame(body);
        otherSchema[4]++;
        byte[] tooLong = ByteBuffer.allocate(HEADER.length + body.length + 1).put(frame(body)).array();
        for (byte[] bad : new byte[][] {otherSchema, tooLong, HEADER, {0}, {}}) {
            assertThrows(SerializationException.class, () -> serde.deserializer().deserialize(Topics.CLOCK, bad));
        }
    }

    private static byte[] frame(byte[] body) {
        return ByteBuffer.allocate(HEADER.length + body.length).put(HEADER).put(body).array();
    }
}
