package tapeline.peer.wire;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.Decoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.Encoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/**
 * Values as Avro bodies: framed as in the topics (byte 0, schema id, body), or bare as in the state stores.
 *
 * <p>Encoder, decoder and buffer are made once a thread: Streams shares a node's serde between all of its threads.
 *
 * <p>What is absent: records of another version of a schema. A record with another schema id is an error.
 */
public final class AvroSerde<T> implements Serde<T> {
    private static final byte[] NO_HEADER = {};
    private static final int FRAME_BYTES = 5;

    /** Writes a value's body. */
    @FunctionalInterface
    public interface Writer<T> {
        void write(T value, Encoder out) throws IOException;
    }

    /** Reads a value's body. */
    @FunctionalInterface
    public interface Reader<T> {
        T read(Decoder in) throws IOException;
    }

    private final byte[] header;
    private final Writer<T> writer;
    private final Reader<T> reader;

    private AvroSerde(byte[] header, Writer<T> writer, Reader<T> reader) {
        this.header = header;
        this.writer = writer;
        this.reader = reader;
    }

    /** Values of a topic, with the registry's id of the schema that they are written with. */
    public static <T extends SpecificRecordBase> AvroSerde<T> framed(int schemaId, Reader<T> reader) {
        byte[] header = ByteBuffer.allocate(FRAME_BYTES).put((byte) 0).putInt(schemaId).array();
        // The generated method writes field by field, without a look at the schema.
        return new AvroSerde<>(header, SpecificRecordBase::customEncode, reader);
    }

    /** Values of a topic that is only written. */
    public static <T extends SpecificRecordBase> Serializer<T> frameSerializer(int schemaId) {
        AvroSerde<T> serde = framed(schemaId, in -> {
            throw new IOException("this topic is only written");
        });
        return serde.serializer();
    }

    /** Values of a state store. */
    public static <T> AvroSerde<T> bare(Writer<T> writer, Reader<T> reader) {
        return new AvroSerde<>(NO_HEADER, writer, reader);
    }

    @Override
    public Serializer<T> serializer() {
        return (topic, value) -> value == null ? null : Scratch.LOCAL.get().write(header, value, writer);
    }

    @Override
    public Deserializer<T> deserializer() {
        return (topic, bytes) -> bytes == null ? null : Scratch.LOCAL.get().read(topic, header, bytes, reader);
    }

    /** What one thread works with. */
    private static final class Scratch {
        static final ThreadLocal<Scratch> LOCAL = ThreadLocal.withInitial(Scratch::new);

        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(1024);
        private final BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        private BinaryDecoder decoder;

        <T> byte[] write(byte[] header, T value, Writer<T> writer) {
            try {
                bytes.reset();
                bytes.write(header, 0, header.length);
                writer.write(value, encoder);
                encoder.flush();
                return bytes.toByteArray();
            } catch (IOException error) {
                throw new SerializationException("a value can't be written: " + value, error);
            }
        }

        <T> T read(String topic, byte[] header, byte[] record, Reader<T> reader) {
            checkHeader(topic, header, record);
            try {
                int bodyBytes = record.length - header.length;
                decoder = DecoderFactory.get().binaryDecoder(record, header.length, bodyBytes, decoder);
                T value = reader.read(decoder);
                if (!decoder.isEnd()) {
                    throw new SerializationException("bytes are left over in a record of " + topic);
                }
                return value;
            } catch (IOException | AvroRuntimeException error) {
                throw new SerializationException("a record of " + topic + " does not fit its schema", error);
            }
        }

        private static void checkHeader(String topic, byte[] header, byte[] record) {
            if (record.length < header.length) {
                throw new SerializationException("a record of " + topic + " is too short for the Confluent wire format");
            }
            for (int i = 0; i < header.length; i++) {
                if (record[i] != header[i]) {
                    throw new SerializationException(
                            "a record of " + topic + " has another schema id than this program's version of it");
                }
            }
        }
    }
}
