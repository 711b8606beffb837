package tapeline.peer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static tapeline.peer.Money.ONE;
import static tapeline.peer.PipelineDriver.lines;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.streams.TopologyDescription;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Instrument;
import tapeline.InstrumentStatus;
import tapeline.OrderType;
import tapeline.Side;
import tapeline.Tick;
import tapeline.TimeInForce;
import tapeline.peer.wire.Topics;

/** The three stages together: which record comes out on which topic under which key, and that feedback arrives. */
class PipelineTest {
    private static final String SYMBOL = "AAPL-USD";

    @TempDir
    Path stateDir;

    @ParameterizedTest
    @EnumSource(StoreKind.class)
    void aTradeGoesThroughAllStagesAndFreesItsReservations(StoreKind stores) {
        try (PipelineDriver pipeline = market(stores)) {
            pipeline.send(place("bob", "s", Side.SELL, 4, 100), 10);
            pipeline.send(place("ann", "b", Side.BUY, 6, 101), 11);
            pipeline.send(place("ann", "b", Side.BUY, 6, 101), 12);
            pipeline.send(cancel("ann", "c", "b"), 13);
            assertEquals(
                    List.of("AAPL-USD PLACE s", "AAPL-USD PLACE b", "AAPL-USD CANCEL c"),
                    lines(pipeline.validated, value -> value.getKind() + " " + value.getClientOrderId()));
            assertEquals(
                    List.of("ann DUPLICATE_CLIENT_ORDER_ID " + Positions.identity(0, 3)),
                    lines(pipeline.rejected, value -> value.getReason() + " " + value.getOriginalCommandId()));
            assertEquals(
                    List.of(
                            "AAPL-USD ACCEPTED",
                            "AAPL-USD QUOTED",
                            "AAPL-USD ACCEPTED",
                            "AAPL-USD TRADED",
                            "AAPL-USD QUOTED",
                            "AAPL-USD CANCELLED",
                            "AAPL-USD QUOTED"),
                    lines(pipeline.executed, value -> value.getKind().name()));
            assertEquals(
                    List.of("ann TRADE TAKER 400", "bob TRADE MAKER 400", "ann CANCELLED null -"),
                    lines(pipeline.settled, value -> value.getKind() + " " + value.getLiquidity() + " "
                            + (value.getNotional() == null ? "-" : Money.decimal(value.getNotional()))));
            // 1,000 less 400 less the taker's 0.1 %: all of it can be taken out again, so nothing is reserved any more.
            pipeline.send(transfer("ann", "w1", CommandKind.WITHDRAW, "USD", 59_960_000_001L), 14);
            pipeline.send(transfer("ann", "w2", CommandKind.WITHDRAW, "USD", 59_960_000_000L), 15);
            assertEquals(List.of("ann INSUFFICIENT_FUNDS"), lines(pipeline.rejected, value -> value.getReason().name()));
            assertEquals(List.of("ann WITHDRAW"), lines(pipeline.validated, value -> value.getKind().name()));
            assertEquals(List.of("ann TRANSFERRED"), lines(pipeline.executed, value -> value.getKind().name()));
            assertEquals(List.of("ann WITHDRAWAL"), lines(pipeline.settled, value -> value.getKind().name()));
        }
    }

    @Test
    void aTickExpiresOrdersAndATombstoneTakesAnAccountBack() {
        try (PipelineDriver pipeline = market(StoreKind.MEMORY)) {
            Command order = place("bob", "s", Side.SELL, 4, 100);
            order.setTimeInForce(TimeInForce.GTD);
            order.setExpiresAtMs(50L);
            pipeline.send(order, 10);
            pipeline.clock.pipeInput("0", new Tick(1L), 50);
            assertEquals(List.of("bob EXPIRED"), lines(pipeline.settled, value -> value.getKind().name()));
            pipeline.accounts.pipeInput("bob", null);
            pipeline.send(place("bob", "t", Side.SELL, 4, 100), 60);
            assertEquals(List.of("bob UNKNOWN_ACCOUNT"), lines(pipeline.rejected, value -> value.getReason().name()));
        }
    }

    @Test
    void thereAreThreeSubTopologiesAndNoTopicsOfTheirOwnBetweenThem() {
        TopologyDescription description = PeerTopology.build(topic -> 1, StoreKind.MEMORY, 1).describe();
        assertEquals(3, description.subtopologies().size());
        assertEquals(1, description.globalStores().size());
        Set<String> topics = new TreeSet<>();
        description.subtopologies().forEach(part -> part.nodes().forEach(node -> {
            if (node instanceof TopologyDescription.Source source) {
                topics.addAll(source.topicSet());
            } else if (node instanceof TopologyDescription.Sink sink) {
                topics.add(sink.topic());
            }
        }));
        topics.add(Topics.INSTRUMENTS);
        assertEquals(new TreeSet<>(Topics.ALL), topics);
        assertTrue(description.toString().contains("book-orders"), description::toString);
    }

    private PipelineDriver market(StoreKind stores) {
        PipelineDriver pipeline = new PipelineDriver(stores, stateDir);
        pipeline.list(new Instrument(
                SYMBOL, "AAPL", "USD", ONE / 100, ONE, ONE, 1_000 * ONE, ONE, 1_000_000 * ONE, 100 * ONE, 100_000L, 500L,
                1_000L, InstrumentStatus.OPEN, 0L));
        pipeline.open("ann", 10);
        pipeline.open("bob", 10);
        pipeline.deposit("ann", "USD", 1_000 * ONE);
        pipeline.deposit("bob", "AAPL", 10 * ONE);
        assertEquals(
                List.of("ann DEPOSIT", "bob DEPOSIT"), lines(pipeline.settled, value -> value.getKind().name()));
        pipeline.validated.readRecordsToList();
        pipeline.executed.readRecordsToList();
        return pipeline;
    }

    private static Command place(String account, String id, Side side, long quantity, long price) {
        Command command = PipelineDriver.command(account, id, CommandKind.PLACE);
        command.setInstrument(SYMBOL);
        command.setSide(side);
        command.setOrderType(OrderType.LIMIT);
        command.setQuantity(quantity * ONE);
        command.setPrice(price * ONE);
        return command;
    }

    private static Command cancel(String account, String id, String target) {
        Command command = PipelineDriver.command(account, id, CommandKind.CANCEL);
        command.setTargetClientOrderId(target);
        return command;
    }

    private static Command transfer(String account, String id, CommandKind kind, String asset, long amount) {
        Command command = PipelineDriver.command(account, id, kind);
        command.setAsset(asset);
        command.setAmount(amount);
        return command;
    }
}
