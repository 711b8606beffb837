package tapeline.peer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tapeline.Execution;
import tapeline.ExecutionKind;
import tapeline.Posting;
import tapeline.Settlement;
import tapeline.Side;

/** An hour of AAPL through the three stages gives the venue's fills, row by row, as Tapeline's own end-to-end test asks. */
class AaplHourTest {
    private static final String DATA = "TAPELINE_DATA";
    private static final String DEFAULT_DATA = "../../../../shared/data";
    private static final long NS_PER_MS = 1_000_000;
    private static final int VENUES_FILLS = 4_067;

    @TempDir
    Path stateDir;

    @Test
    void theAaplHourGivesTheVenuesFillsRowByRow() throws IOException {
        Path folder = folder();
        AaplHour hour = new AaplHour(folder.resolve("AAPL_0930_1030_orders.csv"));
        List<String> expected = fills(folder.resolve("AAPL_0930_1030_fills.csv"));
        List<String> found = new ArrayList<>();
        Map<String, Long> clearing = new HashMap<>();
        try (PipelineDriver pipeline = new PipelineDriver(StoreKind.MEMORY, stateDir)) {
            hour.prepare(pipeline);
            for (AaplHour.Timed timed : hour.commands) {
                pipeline.send(timed.command(), timed.atNs() / NS_PER_MS);
                drain(pipeline, found, clearing);
            }
            assertEquals(List.of(), pipeline.rejected.readValuesToList());
        }
        assertEquals(VENUES_FILLS, expected.size());
        assertEquals(expected, found);
        assertEquals(Map.of("AAPL", 0L, "USD", 0L), clearing);
        System.out.println("AAPL hour: " + hour.commands.size() + " commands, " + found.size() + " trades");
    }

    private static void drain(PipelineDriver pipeline, List<String> trades, Map<String, Long> clearing) {
        for (Execution execution : pipeline.executed.readValuesToList()) {
            assertNotEquals(ExecutionKind.REFUSED, execution.getKind(), execution::toString);
            if (execution.getKind() == ExecutionKind.TRADED) {
                trades.add(trade(execution));
            }
        }
        for (Settlement settlement : pipeline.settled.readValuesToList()) {
            for (Posting line : settlement.getPostings()) {
                if (line.getAccount().equals("@clearing")) {
                    clearing.merge(line.getAsset(), line.getAmount(), Long::sum);
                }
            }
        }
        pipeline.validated.readRecordsToList();
    }

    /** A trade in the words of the file of fills: client order ids are {@code ORDERID-SEQ}. */
    private static String trade(Execution execution) {
        String taker = execution.getOrder().getClientOrderId();
        String maker = execution.getMaker().getClientOrderId();
        return String.join(
                ",",
                taker.substring(taker.indexOf('-') + 1),
                maker.substring(0, maker.indexOf('-')),
                execution.getOrder().getSide() == Side.BUY ? "B" : "S",
                Long.toString(execution.getPrice() / (Money.ONE / 10_000)),
                Long.toString(execution.getQuantity() / Money.ONE));
    }

    /** Aggressor's row, maker's order id, side, price and quantity of each fill. */
    private static List<String> fills(Path file) throws IOException {
        List<String> rows = Files.readAllLines(file);
        return rows.subList(1, rows.size()).stream()
                .map(row -> row.split(",", 3)[2])
                .toList();
    }

    private static Path folder() {
        String given = System.getProperty(DATA, System.getenv().getOrDefault(DATA, DEFAULT_DATA));
        Path folder = Path.of(given).resolve("aapl-2012-06-21");
        Assumptions.assumeTrue(
                Files.isDirectory(folder), () -> "skipped: there is no market data in " + folder + "; set " + DATA);
        return folder;
    }
}
