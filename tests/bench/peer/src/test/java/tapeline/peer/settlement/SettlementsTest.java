package tapeline.peer.settlement;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static tapeline.peer.Money.ONE;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tapeline.Execution;
import tapeline.ExecutionKind;
import tapeline.OrderState;
import tapeline.OrderStatus;
import tapeline.OrderType;
import tapeline.Settlement;
import tapeline.SettlementKind;
import tapeline.Side;
import tapeline.TimeInForce;
import tapeline.peer.wire.Examples;
import tapeline.peer.wire.RecordReaders;
import tapeline.peer.wire.Topics;

class SettlementsTest {
    @Test
    void aTradeMovesBothAssetsTakesBothFeesAndReturnsWhatWasNotNeeded() {
        // The buyer reserved 3 at 10 plus 0.2 % and takes 1 at 9; the seller rested.
        Execution trade = trade(order(Side.BUY, 3_006_000_000L, 2_004_000_000L));
        List<Settlement> out = settle(trade);
        assertEquals(
                List.of(
                        "ann USD RESERVED -1002000000",
                        "ann USD AVAILABLE 100200000",
                        "ann AAPL AVAILABLE 100000000",
                        "@clearing AAPL AVAILABLE -100000000",
                        "@clearing USD AVAILABLE 900000000",
                        "@fees USD AVAILABLE 1800000"),
                lines(out.get(0)));
        assertEquals(
                List.of(
                        "bob AAPL RESERVED -100000000",
                        "bob USD AVAILABLE 899100000",
                        "@clearing AAPL AVAILABLE 100000000",
                        "@clearing USD AVAILABLE -900000000",
                        "@fees USD AVAILABLE 900000"),
                lines(out.get(1)));
        out.forEach(SettlementsTest::assertBalanced);
    }

    @Test
    void anEndWithoutATradeReleasesAllThatWasReserved() {
        OrderState ended = order(Side.BUY, 500, 0);
        ended.setStatus(OrderStatus.EXPIRED);
        Execution execution = bare(ExecutionKind.EXPIRED);
        execution.setOrder(ended);
        Settlement settlement = settle(execution).get(0);
        assertEquals(List.of("ann USD RESERVED -500", "ann USD AVAILABLE 500"), lines(settlement));
        assertTrue(settlement.getOrder().getDone());
    }

    @Test
    void transfersStandAgainstTheOutsideAccount() {
        Settlement deposit = settle(transfer(40)).get(0);
        assertEquals(SettlementKind.DEPOSIT, deposit.getKind());
        assertEquals(List.of("ann USD AVAILABLE 40", "@outside USD AVAILABLE -40"), lines(deposit));
        Settlement withdrawal = settle(transfer(-40)).get(0);
        assertEquals(SettlementKind.WITHDRAWAL, withdrawal.getKind());
        assertEquals(List.of("ann USD RESERVED -40", "@outside USD AVAILABLE 40"), lines(withdrawal));
    }

    @Test
    void spendingMoreThanWasReservedIsRefused() {
        Execution trade = trade(order(Side.BUY, 100, 0));
        List<Settlement> out = new ArrayList<>();
        assertThrows(Unbalanced.class, () -> Settlements.settle(99, 30, trade, out::add));
        assertEquals(List.of(), out);
    }

    @Test
    void everyExampleOfAnExecutionSettlesInBalance() throws IOException {
        int settled = 0;
        for (Execution execution : Examples.records(Topics.EXECUTED, RecordReaders::execution)) {
            for (Settlement settlement : settle(execution)) {
                assertBalanced(settlement);
                settled++;
            }
        }
        assertTrue(settled > 20, "only " + settled + " settlements");
    }

    private static List<Settlement> settle(Execution execution) {
        List<Settlement> out = new ArrayList<>();
        Settlements.settle(99, 30, execution, out::add);
        return out;
    }

    private static void assertBalanced(Settlement settlement) {
        Map<String, Long> sums = new HashMap<>();
        settlement.getPostings().forEach(line -> sums.merge(line.getAsset(), line.getAmount(), Math::addExact));
        assertTrue(sums.values().stream().allMatch(sum -> sum == 0), settlement::toString);
    }

    private static List<String> lines(Settlement settlement) {
        return settlement.getPostings().stream()
                .map(line -> line.getAccount() + " " + line.getAsset() + " " + line.getBucket() + " " + line.getAmount())
                .toList();
    }

    private static Execution bare(ExecutionKind kind) {
        Execution execution = new Execution();
        execution.setKind(kind);
        execution.setCommandId(1);
        return execution;
    }

    private static Execution trade(OrderState taker) {
        Execution execution = bare(ExecutionKind.TRADED);
        execution.setTradeId(5L);
        execution.setPrice(9 * ONE);
        execution.setQuantity(ONE);
        execution.setOrder(taker);
        execution.setMaker(order(Side.SELL, 3 * ONE, 2 * ONE));
        return execution;
    }

    private static Execution transfer(long amount) {
        Execution execution = bare(ExecutionKind.TRANSFERRED);
        execution.setAccount("ann");
        execution.setAsset("USD");
        execution.setAmount(amount);
        return execution;
    }

    private static OrderState order(Side side, long reservedBefore, long reservedAfter) {
        OrderState order = new OrderState();
        order.setOrderId(7);
        order.setAccount(side == Side.BUY ? "ann" : "bob");
        order.setInstrument("AAPL-USD");
        order.setBaseAsset("AAPL");
        order.setQuoteAsset("USD");
        order.setSide(side);
        order.setOrderType(OrderType.LIMIT);
        order.setTimeInForce(TimeInForce.GTC);
        order.setPrice(10 * ONE);
        order.setQuantity(3 * ONE);
        order.setFilled(ONE);
        order.setLeaves(2 * ONE);
        order.setStatus(OrderStatus.PARTLY_FILLED);
        order.setMakerFeePpm(1_000);
        order.setTakerFeePpm(2_000);
        order.setReservedBefore(reservedBefore);
        order.setReservedAfter(reservedAfter);
        return order;
    }
}
