package tapeline.peer.wire;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;

/**
 * Asks a schema registry, over its Confluent interface, under which ids the repository's schemas are registered.
 * It registers nothing: that is {@code tapeline apply}'s affair.
 */
public final class SchemaRegistry {
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    private final String url;
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
    private final ObjectMapper json = new ObjectMapper();

    /** {@code url} is the base of the Confluent interface, {@code http://HOST:PORT/apis/ccompat/v7} for Apicurio. */
    public SchemaRegistry(String url) {
        this.url = url.endsWith("/") ? url.substring(0, url.length() - 1) : url;
    }

    /** The id of the topic's schema, as it stands in {@code schemas/} of the repository. */
    public int idOf(String topic) throws IOException, InterruptedException {
        String body = json.writeValueAsString(Map.of("schema", schemaText(topic)));
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/subjects/" + Topics.subject(topic)))
                .timeout(PATIENCE)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() == 404) {
            throw new IOException("the schema of " + topic + " is not registered: run `tapeline apply`");
        }
        if (answer.statusCode() != 200) {
            throw new IOException("the registry at " + url + " answers " + answer.statusCode() + ": " + answer.body());
        }
        JsonNode id = json.readTree(answer.body()).get("id");
        if (id == null || !id.canConvertToInt()) {
            throw new IOException("the registry at " + url + " answers without an id: " + answer.body());
        }
        return id.intValue();
    }

    /** The text of {@code schemas/<topic>.avsc}. */
    static String schemaText(String topic) throws IOException {
        String name = "/schemas/" + topic + ".avsc";
        try (InputStream text = SchemaRegistry.class.getResourceAsStream(name)) {
            if (text == null) {
                throw new IOException(name + " is not in this program");
            }
            return new String(text.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
