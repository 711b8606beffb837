package tapeline.peer;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The command line.
 *
 * @param kafka bootstrap servers
 * @param registry base URL of the registry's Confluent interface
 * @param stores where state lies
 * @param commitIntervalMs how often a transaction is committed
 * @param threads stream threads
 * @param stateDir for RocksDB and for locks
 * @param applicationId consumer group, and prefix of changelog topics and transactional ids
 */
record Options(
        String kafka,
        String registry,
        StoreKind stores,
        long commitIntervalMs,
        int threads,
        Path stateDir,
        String applicationId) {

    static final String USAGE = "usage: peer --kafka HOST:PORT --registry URL --stores memory|rocksdb"
            + " --commit-interval-ms N --threads N --state-dir DIR [--application-id ID]";

    private static final String DEFAULT_APPLICATION_ID = "tapeline-peer";
    private static final List<String> NAMES = List.of(
            "--kafka", "--registry", "--stores", "--commit-interval-ms", "--threads", "--state-dir", "--application-id");

    /** A command line that makes no sense; the message says what is wrong. */
    static final class Wrong extends Exception {
        private static final long serialVersionUID = 1L;

        Wrong(String what) {
            super(what);
        }
    }

    static Options parse(String... arguments) throws Wrong {
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i < arguments.length; i += 2) {
            if (!NAMES.contains(arguments[i])) {
                throw new Wrong("there is no option " + arguments[i]);
            }
            if (i + 1 == arguments.length) {
                throw new Wrong(arguments[i] + " needs a value");
            }
            given.put(arguments[i], arguments[i + 1]);
        }
        return new Options(
                text(given, "--kafka"),
                text(given, "--registry"),
                stores(text(given, "--stores")),
                number(given, "--commit-interval-ms"),
                number(given, "--threads"),
                Path.of(text(given, "--state-dir")),
                given.getOrDefault("--application-id", DEFAULT_APPLICATION_ID));
    }

    private static String text(Map<String, String> given, String name) throws Wrong {
        String value = given.get(name);
        if (value == null || value.isEmpty()) {
            throw new Wrong(name + " is missing");
        }
        return value;
    }

    private static int number(Map<String, String> given, String name) throws Wrong {
        String value = text(given, name);
        try {
            int number = Integer.parseInt(value);
            if (number >= 1) {
                return number;
            }
        } catch (NumberFormatException error) {
            // Falls through to the same complaint.
        }
        throw new Wrong(name + " is `" + value + "`: set it to a whole number of at least 1");
    }

    private static StoreKind stores(String value) throws Wrong {
        return Arrays.stream(StoreKind.values())
                .filter(kind -> kind.name().toLowerCase(Locale.ROOT).equals(value))
                .findFirst()
                .orElseThrow(() -> new Wrong("--stores is `" + value + "`: set it to memory or rocksdb"));
    }
}
