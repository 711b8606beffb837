package tapeline.peer.risk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tapeline.Bucket;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.RejectReason;
import tapeline.Rejection;
import tapeline.Settlement;
import tapeline.Side;
import tapeline.ValidatedCommand;
import tapeline.peer.Money;

class RiskTest {
    /** Tapeline's own table of verdicts. */
    private static final Path LADDER = Path.of("../../../processors/domain/tests/ladder.txt");

    @Test
    void theFirstRungThatFailsDecides() throws IOException {
        int rows = 0;
        for (String line : Files.readAllLines(LADDER)) {
            int bar = line.indexOf('|');
            if (line.startsWith("#") || bar < 0) {
                continue;
            }
            Map<String, String> row = new HashMap<>();
            for (String pair : line.substring(0, bar).trim().split("\\s+")) {
                int equals = pair.indexOf('=');
                row.put(pair.substring(0, equals), pair.substring(equals + 1));
            }
            assertEquals(line.substring(bar + 1).trim(), verdict(row), line);
            rows++;
        }
        assertTrue(rows > 60, "only " + rows + " rows were read");
    }

    /** The verdict in the table's words; reserved funds are read off the balances, not off the answer. */
    private static String verdict(Map<String, String> row) {
        RiskWorld world = new RiskWorld();
        Command command = RiskWorld.command(row);
        String account = command.getAccount();
        long usdBefore = world.balance(account, "USD").reserved;
        long aaplBefore = world.balance(account, "AAPL").reserved;
        long heldBefore = total(world, account);
        boolean isInOwnPartition = !"yes".equals(row.get("elsewhere"));
        Risk.Decision decision = world.risk.decide(new CommandAt(8, RiskWorld.NOW_MS, isInOwnPartition), command);
        long usd = world.balance(account, "USD").reserved - usdBefore;
        long aapl = world.balance(account, "AAPL").reserved - aaplBefore;
        assertEquals(heldBefore, total(world, account), "funds only move");
        if (decision.rejected() != null) {
            assertEquals(0, usd | aapl, "a refusal has no effect");
            assertTrue(decision.rejected().getText().endsWith("."));
            return decision.rejected().getReason().name();
        }
        ValidatedCommand accepted = decision.accepted();
        return switch (accepted.getKind()) {
            case CANCEL, CANCEL_ALL, DEPOSIT -> "accepted";
            default -> accepted.getKind() == CommandKind.PLACE && accepted.getSide() == Side.SELL
                    ? "reserves " + Money.decimal(aapl) + " AAPL"
                    : "reserves " + Money.decimal(usd) + " USD";
        };
    }

    private static long total(RiskWorld world, String account) {
        long sum = 0;
        for (String asset : new String[] {"USD", "AAPL"}) {
            Funds.Balance balance = world.balance(account, asset);
            sum += balance.available + balance.reserved;
        }
        return sum;
    }

    @Test
    void aRepeatedClientOrderIdGetsTheFirstVerdictAndNoSecondEffect() {
        RiskWorld world = new RiskWorld();
        Command good = RiskWorld.command(Map.of("id", "twice"));
        assertNotNull(world.decide(20, good).accepted());
        long reserved = world.balance("ann", "USD").reserved;
        Rejection again = world.decide(21, good).rejected();
        assertEquals(20, again.getOriginalCommandId());
        assertTrue(again.getOriginalAccepted());
        assertNull(again.getOriginalReason());
        assertEquals(reserved, world.balance("ann", "USD").reserved);

        Command bad = RiskWorld.command(Map.of("id", "bad", "price", "1000"));
        assertNotNull(world.decide(22, bad).rejected());
        again = world.decide(23, bad).rejected();
        assertEquals(22, again.getOriginalCommandId());
        assertFalse(again.getOriginalAccepted());
        assertEquals(RejectReason.OUTSIDE_COLLAR, again.getOriginalReason());
    }

    @Test
    void aClientOrderIdIsForgottenAfterADayUnlessItsOrderIsOpen() {
        long dayLaterMs = RiskWorld.NOW_MS + RiskState.DUPLICATE_WINDOW_MS + 1;
        Command deposit = RiskWorld.command(Map.of("kind", "DEPOSIT", "id", "d", "asset", "USD", "amount", "1"));
        for (boolean purges : new boolean[] {false, true}) {
            RiskWorld world = new RiskWorld();
            assertNotNull(world.decide(30, deposit).accepted());
            assertNotNull(world.decide(31, deposit).rejected());
            if (purges) {
                world.state.purgeVerdicts(dayLaterMs);
            }
            assertNotNull(world.risk.decide(new CommandAt(32, dayLaterMs, true), deposit).accepted());
            Command used = RiskWorld.command(Map.of("id", "used"));
            Rejection again = world.risk.decide(new CommandAt(33, dayLaterMs, true), used).rejected();
            assertEquals(RejectReason.DUPLICATE_CLIENT_ORDER_ID, again.getReason());
        }
    }

    @Test
    void anEndedOrderFreesItsPlaceAndItsReservation() {
        RiskWorld world = new RiskWorld();
        assertEquals(1, world.state.fundsOf("full").openOrders);
        long held = RiskWorld.units("100.1");
        assertEquals(held, world.balance("full", "USD").reserved);
        Settlement settlement = RiskWorld.settlement("full");
        settlement.getPostings().add(RiskWorld.posting("full", "USD", Bucket.RESERVED, -held));
        settlement.getPostings().add(RiskWorld.posting("full", "USD", Bucket.AVAILABLE, held));
        settlement.setOrderId(RiskWorld.USED_ORDER);
        settlement.setOrder(RiskWorld.ended());
        world.risk.settle(settlement);
        assertEquals(0, world.state.fundsOf("full").openOrders);
        assertEquals(0, world.balance("full", "USD").reserved);
        assertEquals(RiskWorld.units("10100.1"), world.balance("full", "USD").available);
    }

    @Test
    void aBalanceNeverFallsBelowZero() {
        RiskWorld world = new RiskWorld();
        Settlement overdraft = RiskWorld.settlement("bob");
        overdraft.getPostings().add(RiskWorld.posting("bob", "AAPL", Bucket.RESERVED, -1));
        assertThrows(IllegalStateException.class, () -> world.risk.settle(overdraft));
        assertEquals(0, world.balance("bob", "AAPL").reserved);
    }
}
