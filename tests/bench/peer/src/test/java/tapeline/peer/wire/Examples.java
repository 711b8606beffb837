package tapeline.peer.wire;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** The repository's example records, {@code schemas/examples/<topic>/*.json}, as Avro's own generic writer writes them. */
public final class Examples {
    private static final Path FOLDER = Path.of("../../../schemas/examples");

    private Examples() {}

    /** File name and Avro body of each example of a topic, by name. */
    public static SortedMap<String, byte[]> bodies(String topic) throws IOException {
        Schema schema = new Schema.Parser().parse(SchemaRegistry.schemaText(topic));
        SortedMap<String, byte[]> bodies = new TreeMap<>();
        try (Stream<Path> files = Files.list(FOLDER.resolve(topic))) {
            for (Path file : files.filter(path -> path.toString().endsWith(".json")).toList()) {
                JsonNode json = new ObjectMapper().readTree(file.toFile());
                bodies.put(file.getFileName().toString(), body(schema, json));
            }
        }
        return bodies;
    }

    /** The examples of a topic as records, by file name. */
    public static <T> List<T> records(String topic, AvroSerde.Reader<T> reader) throws IOException {
        List<T> records = new ArrayList<>();
        for (byte[] body : bodies(topic).values()) {
            records.add(reader.read(DecoderFactory.get().binaryDecoder(body, null)));
        }
        return records;
    }

    private static byte[] body(Schema schema, JsonNode json) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<>(schema).write(value(schema, json), encoder);
        encoder.flush();
        return bytes.toByteArray();
    }

    /** The examples are plain JSON: a union's value stands there without its branch's name. */
    private static Object value(Schema schema, JsonNode json) {
        return switch (schema.getType()) {
            case RECORD -> {
                GenericData.Record record = new GenericData.Record(schema);
                schema.getFields().forEach(field -> record.put(field.pos(), value(field.schema(), json.get(field.name()))));
                yield record;
            }
            case UNION -> json.isNull() ? null : value(schema.getTypes().get(1), json);
            case ARRAY -> {
                GenericData.Array<Object> array = new GenericData.Array<>(json.size(), schema);
                json.forEach(item -> array.add(value(schema.getElementType(), item)));
                yield array;
            }
            case ENUM -> new GenericData.EnumSymbol(schema, json.asText());
            case STRING -> json.asText();
            case LONG -> json.longValue();
            case INT -> json.intValue();
            case BOOLEAN -> json.booleanValue();
            default -> throw new IllegalArgumentException("no example has a " + schema.getType());
        };
    }
}
