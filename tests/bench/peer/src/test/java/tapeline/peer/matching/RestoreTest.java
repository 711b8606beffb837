package tapeline.peer.matching;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static tapeline.peer.Money.ONE;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.serialization.Serdes;
import org.junit.jupiter.api.Test;
import tapeline.CommandKind;
import tapeline.OrderType;
import tapeline.SelfTradePrevention;
import tapeline.Side;
import tapeline.TimeInForce;
import tapeline.ValidatedCommand;
import tapeline.peer.MemoryStores;

/** Books that are rebuilt from their stores do the same as books that lived on. */
class RestoreTest {
    private static final int COMMANDS = 4_000;
    private static final int PARTITION = 3;

    @Test
    void restartsChangeNothingThatTheBooksDo() {
        for (long seed = 1; seed <= 4; seed++) {
            List<String> unbroken = run(seed, COMMANDS);
            assertEquals(unbroken, run(seed, 37), "seed " + seed);
            assertTrue(unbroken.stream().anyMatch(line -> line.contains("TRIGGERED")), "seed " + seed);
            assertTrue(unbroken.stream().anyMatch(line -> line.contains("EXPIRED")), "seed " + seed);
            assertTrue(unbroken.stream().filter(line -> line.contains("TRADED")).count() > 500, "seed " + seed);
        }
    }

    /** Each execution in full; the books are thrown away and restored every {@code restartEvery} commands. */
    private static List<String> run(long seed, int restartEvery) {
        MemoryStores stores = new MemoryStores();
        StoredBooks books = new StoredBooks(
                stores.make(StoredBooks.ORDERS, Serdes.Long(), StoredBooks.ORDER_SERDE),
                stores.make(StoredBooks.LAST_PRICES, Serdes.String(), Serdes.Long()),
                stores.make(StoredBooks.SEQUENCES, Serdes.String(), Sequences.SERDE));
        List<String> told = new ArrayList<>();
        Random random = new Random(seed);
        Matching matching = null;
        for (int number = 0; number < COMMANDS; number++) {
            if (number % restartEvery == 0) {
                matching = new Matching(PARTITION, books, execution -> told.add(execution.toString()));
                books.restoreInto(matching);
            }
            if (random.nextInt(50) == 0) {
                matching.tick(number);
            } else {
                matching.apply(number, command(number, random));
            }
        }
        return told;
    }

    private static ValidatedCommand command(int number, Random random) {
        String account = "acc-" + random.nextInt(5);
        int target = Math.max(0, number - random.nextInt(60));
        ValidatedCommand command = switch (random.nextInt(10)) {
            case 0 -> Market.cancel(number, account, target);
            case 1 -> Market.amend(
                    number, account, target, 1 + random.nextLong(20), 95 + random.nextLong(11), 500 * ONE);
            case 2 -> random.nextInt(8) == 0
                    ? Market.bare(number, account, CommandKind.CANCEL_ALL)
                    : Market.cancel(number, account, target);
            default -> place(number, account, random);
        };
        command.setInstrument(random.nextInt(3) == 0 ? "MSFT-USD" : Market.SYMBOL);
        return command;
    }

    private static ValidatedCommand place(int number, String account, Random random) {
        Side side = random.nextBoolean() ? Side.BUY : Side.SELL;
        long skew = side == Side.BUY ? 0 : 2;
        ValidatedCommand order =
                Market.limit(number, account, side, 1 + random.nextLong(20), 95 + skew + random.nextLong(9));
        order.setMakerFeePpm(500L);
        SelfTradePrevention[] modes = SelfTradePrevention.values();
        order.setSelfTradePrevention(modes[1 + random.nextInt(modes.length - 1)]);
        switch (random.nextInt(10)) {
            case 0 -> order.setTimeInForce(TimeInForce.IOC);
            case 1 -> order.setTimeInForce(TimeInForce.FOK);
            case 2 -> order.setDisplayQuantity(3 * ONE);
            case 3 -> order.setPostOnly(true);
            case 4 -> {
                order.setTimeInForce(TimeInForce.GTD);
                order.setExpiresAtMs(number + 20L);
            }
            case 5 -> {
                order.setOrderType(random.nextBoolean() ? OrderType.STOP : OrderType.STOP_LIMIT);
                order.setStopPrice((95 + random.nextLong(11)) * ONE);
            }
            default -> {
                // A plain limit order.
            }
        }
        return order;
    }
}
