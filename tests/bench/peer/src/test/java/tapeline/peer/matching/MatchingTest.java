package tapeline.peer.matching;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static tapeline.Side.BUY;
import static tapeline.Side.SELL;
import static tapeline.peer.Money.ONE;
import static tapeline.peer.matching.Market.amend;
import static tapeline.peer.matching.Market.bare;
import static tapeline.peer.matching.Market.cancel;
import static tapeline.peer.matching.Market.limit;

import java.util.List;
import org.junit.jupiter.api.Test;
import tapeline.CommandKind;
import tapeline.OrderType;
import tapeline.SelfTradePrevention;
import tapeline.TimeInForce;
import tapeline.ValidatedCommand;

/** Price-time priority and what an order, an amend, a cancel and a tick do to the book. */
class MatchingTest {
    private final Market market = new Market();

    @Test
    void theBestPriceTradesFirstAndThenTheEarliestOrder() {
        market.apply(limit(1, "a", SELL, 10, 102));
        market.apply(limit(2, "b", SELL, 10, 101));
        market.apply(limit(3, "c", SELL, 10, 101));
        assertEquals("QUOTED - 20@101", market.quote());
        assertEquals(
                List.of(
                        "ACCEPTED 4:25",
                        "TRADED 10 @101 taker 4:15 maker 2:0",
                        "TRADED 10 @101 taker 4:5 maker 3:0",
                        "TRADED 5 @102 taker 4:0 maker 1:5"),
                market.apply(limit(4, "d", BUY, 25, 105)));
        assertEquals("QUOTED - 5@102", market.quote());
    }

    @Test
    void aRemainderRestsAtItsOwnLimitAndTheBookIsNotCrossed() {
        market.apply(limit(1, "a", BUY, 10, 100));
        assertEquals(
                List.of("ACCEPTED 2:15", "TRADED 10 @100 taker 2:5 maker 1:0"),
                market.apply(limit(2, "b", SELL, 15, 99)));
        assertEquals("QUOTED - 5@99", market.quote());
    }

    @Test
    void immediateAndMarketRemaindersAreCancelled() {
        market.apply(limit(1, "a", SELL, 10, 100));
        assertEquals(
                List.of("ACCEPTED 2:15", "TRADED 10 @100 taker 2:5 maker 1:0", "CANCELLED 2:5 IMMEDIATE_OR_CANCEL"),
                market.apply(with(limit(2, "b", BUY, 15, 100), TimeInForce.IOC)));
        ValidatedCommand order = with(limit(3, "b", BUY, 1, 110), TimeInForce.IOC);
        order.setOrderType(OrderType.MARKET);
        assertEquals(List.of("ACCEPTED 3:1", "CANCELLED 3:1 NO_LIQUIDITY"), market.apply(order));
    }

    @Test
    void fillOrKillTradesInFullOrNotAtAll() {
        market.apply(limit(1, "a", SELL, 10, 100));
        market.apply(iceberg(limit(2, "b", SELL, 10, 101), 2));
        assertEquals(
                List.of("ACCEPTED 3:21", "CANCELLED 3:21 FILL_OR_KILL"),
                market.apply(with(limit(3, "c", BUY, 21, 101), TimeInForce.FOK)));
        assertEquals(
                List.of(
                        "ACCEPTED 4:13",
                        "TRADED 10 @100 taker 4:3 maker 1:0",
                        "TRADED 2 @101 taker 4:1 maker 2:8",
                        "TRADED 1 @101 taker 4:0 maker 2:7"),
                market.apply(with(limit(4, "c", BUY, 13, 101), TimeInForce.FOK)));
    }

    @Test
    void anIcebergShowsASliceAndGoesToTheBackWithTheNext() {
        market.apply(iceberg(limit(1, "a", SELL, 10, 100), 3));
        market.apply(limit(2, "b", SELL, 5, 100));
        assertEquals("QUOTED - 8@100", market.quote());
        assertEquals(
                List.of(
                        "ACCEPTED 3:9",
                        "TRADED 3 @100 taker 3:6 maker 1:7",
                        "TRADED 5 @100 taker 3:1 maker 2:0",
                        "TRADED 1 @100 taker 3:0 maker 1:6"),
                market.apply(limit(3, "c", BUY, 9, 100)));
        assertEquals("QUOTED - 2@100", market.quote());
    }

    @Test
    void aPostOnlyOrderDoesNotTake() {
        market.apply(limit(1, "a", SELL, 10, 100));
        ValidatedCommand order = limit(2, "b", BUY, 10, 100);
        order.setPostOnly(true);
        assertEquals(List.of("ACCEPTED 2:10", "CANCELLED 2:10 POST_ONLY"), market.apply(order));
    }

    @Test
    void aLowerQuantityKeepsThePlaceAndAnotherPriceLosesIt() {
        market.apply(limit(1, "a", SELL, 10, 100));
        market.apply(limit(2, "b", SELL, 10, 100));
        assertEquals(List.of("AMENDED 1:4 kept"), market.apply(amend(3, "a", 1, 4L, null, 0)));
        assertEquals(List.of("AMENDED 2:10 lost"), market.apply(amend(4, "b", 2, null, 99L, 0)));
        assertEquals(List.of("AMENDED 2:10 lost"), market.apply(amend(5, "b", 2, null, 100L, 0)));
        assertEquals(
                List.of("ACCEPTED 6:5", "TRADED 4 @100 taker 6:1 maker 1:0", "TRADED 1 @100 taker 6:0 maker 2:9"),
                market.apply(limit(6, "c", BUY, 5, 100)));
    }

    @Test
    void anAmendTakesIfItCrossesAndEndsAnOrderAtItsFilledQuantity() {
        market.apply(limit(1, "a", SELL, 10, 102));
        market.apply(limit(2, "b", BUY, 4, 100));
        long extra = Market.needed(BUY, 4, 102) - Market.needed(BUY, 4, 100);
        assertEquals(
                List.of("AMENDED 2:4 lost", "TRADED 4 @102 taker 2:0 maker 1:6"),
                market.apply(amend(3, "b", 2, null, 102L, extra)));
        assertEquals(List.of("CANCELLED 1:6 AMENDED_TO_FILLED"), market.apply(amend(4, "a", 1, 4L, null, 0)));
    }

    @Test
    void anAmendThatItsReservationDoesNotCoverIsRefusedAndGivesBack() {
        market.apply(limit(1, "a", BUY, 4, 100));
        assertEquals(
                List.of("REFUSED RESERVATION_TOO_SMALL gives back 1"),
                market.apply(amend(2, "a", 1, null, 102L, ONE)));
        assertEquals(List.of("REFUSED NOT_OPEN gives back 1"), market.apply(amend(3, "b", 1, null, 102L, ONE)));
    }

    @Test
    void cancelAndCancelAllEndTheAccountsOwnOrdersOnly() {
        market.apply(limit(1, "a", BUY, 1, 100));
        market.apply(limit(2, "a", SELL, 1, 110));
        market.apply(limit(3, "b", BUY, 1, 100));
        market.apply(limit(4, "a", BUY, 1, 99));
        assertEquals(List.of("REFUSED NOT_OPEN gives back 0"), market.apply(cancel(5, "a", 3)));
        assertEquals(List.of("CANCELLED 1:1 REQUESTED"), market.apply(cancel(6, "a", 1)));
        assertEquals("QUOTED 1@100 1@110", market.quote());
        assertEquals(
                List.of("CANCELLED 2:1 CANCEL_ALL", "CANCELLED 4:1 CANCEL_ALL"),
                market.apply(bare(7, "a", CommandKind.CANCEL_ALL)));
        assertEquals(
                List.of("REFUSED NOTHING_TO_CANCEL gives back 0"), market.apply(bare(8, "a", CommandKind.CANCEL_ALL)));
    }

    @Test
    void stopsWakeInTheOrderInWhichTheyCameWhenATradeReachesTheirPrice() {
        market.apply(stop(limit(1, "s", BUY, 1, 120), 103, OrderType.STOP));
        market.apply(stop(limit(2, "t", BUY, 1, 101), 102, OrderType.STOP_LIMIT));
        market.apply(limit(3, "m", SELL, 1, 103));
        market.apply(limit(4, "m", SELL, 5, 104));
        assertEquals(
                List.of(
                        "ACCEPTED 5:1",
                        "TRADED 1 @103 taker 5:0 maker 3:0",
                        "TRIGGERED 1:1",
                        "TRADED 1 @104 taker 1:0 maker 4:4",
                        "TRIGGERED 2:1"),
                market.apply(limit(5, "x", BUY, 1, 103)));
        assertEquals("QUOTED 1@101 4@104", market.quote());
    }

    @Test
    void ordersOfOneAccountNeverTradeWithEachOther() {
        for (var mode : List.of(
                List.of(SelfTradePrevention.CANCEL_NEWEST, "CANCELLED 2:15 SELF_TRADE"),
                List.of(SelfTradePrevention.CANCEL_OLDEST, "CANCELLED 1:10 SELF_TRADE"),
                List.of(SelfTradePrevention.CANCEL_BOTH, "CANCELLED 1:10 SELF_TRADE", "CANCELLED 2:15 SELF_TRADE"),
                List.of(
                        SelfTradePrevention.DECREMENT_AND_CANCEL,
                        "CANCELLED 1:10 SELF_TRADE",
                        "AMENDED 2:5 kept"))) {
            Market market = new Market();
            market.apply(limit(1, "a", SELL, 10, 100));
            ValidatedCommand order = limit(2, "a", BUY, 15, 100);
            order.setSelfTradePrevention((SelfTradePrevention) mode.get(0));
            List<String> happened = market.apply(order);
            assertEquals(mode.subList(1, mode.size()), happened.subList(1, happened.size()));
        }
    }

    @Test
    void ticksEndOrdersWhoseTimeHasCome() {
        market.apply(expiring(limit(1, "a", BUY, 1, 100), 50));
        market.apply(expiring(limit(2, "a", BUY, 1, 99), 40));
        market.apply(expiring(limit(3, "a", BUY, 1, 98), 60));
        assertEquals(List.of(), market.tick(39));
        assertEquals(List.of("EXPIRED 2:1", "EXPIRED 1:1", "QUOTED 1@98 -"), market.tick(50));
    }

    @Test
    void anUnsoundOrderReachesItsEnd() {
        ValidatedCommand order = limit(1, "a", BUY, 1, 100);
        order.setReservedAmount(order.getReservedAmount() - 1);
        assertEquals(List.of("ACCEPTED 1:1", "CANCELLED 1:1 NO_LIQUIDITY"), market.apply(order));
    }

    private static ValidatedCommand with(ValidatedCommand order, TimeInForce timeInForce) {
        order.setTimeInForce(timeInForce);
        return order;
    }

    private static ValidatedCommand iceberg(ValidatedCommand order, long shown) {
        order.setDisplayQuantity(shown * ONE);
        return order;
    }

    private static ValidatedCommand stop(ValidatedCommand order, long stopPrice, OrderType type) {
        order.setOrderType(type);
        order.setStopPrice(stopPrice * ONE);
        return order;
    }

    private static ValidatedCommand expiring(ValidatedCommand order, long atMs) {
        order.setTimeInForce(TimeInForce.GTD);
        order.setExpiresAtMs(atMs);
        return order;
    }
}
