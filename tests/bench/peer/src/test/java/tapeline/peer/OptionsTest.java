package tapeline.peer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class OptionsTest {
    private static final String[] GOOD = {
        "--kafka", "127.0.0.1:19092", "--registry", "http://127.0.0.1:18081/apis/ccompat/v7", "--stores", "rocksdb",
        "--commit-interval-ms", "20", "--threads", "2", "--state-dir", "state"
    };

    @Test
    void allOptionsAreRead() throws Options.Wrong {
        Options options = Options.parse(GOOD);
        assertEquals(
                new Options(
                        "127.0.0.1:19092", "http://127.0.0.1:18081/apis/ccompat/v7", StoreKind.ROCKSDB, 20, 2,
                        Path.of("state"), "tapeline-peer"),
                options);
        assertEquals(5L, StreamsSettings.of(options).get("poll.ms"));
    }

    @Test
    void whatIsWrongIsNamed() {
        assertComplaint("--threads is missing", "--threads");
        assertComplaint("--stores is `disk`: set it to memory or rocksdb", "--stores", "disk");
        assertComplaint("--threads is `0`: set it to a whole number of at least 1", "--threads", "0");
        assertComplaint("--threads is `x`: set it to a whole number of at least 1", "--threads", "x");
        assertTrue(assertThrows(Options.Wrong.class, () -> Options.parse("--port", "1")).getMessage().contains("--port"));
        assertTrue(assertThrows(Options.Wrong.class, () -> Options.parse("--kafka")).getMessage().contains("a value"));
    }

    /** The good command line with the option's value replaced, or emptied. */
    private static void assertComplaint(String complaint, String option, String... value) {
        String[] arguments = GOOD.clone();
        for (int i = 0; i < arguments.length; i += 2) {
            if (arguments[i].equals(option)) {
                arguments[i + 1] = value.length == 0 ? "" : value[0];
            }
        }
        assertEquals(complaint, assertThrows(Options.Wrong.class, () -> Options.parse(arguments)).getMessage());
    }
}
