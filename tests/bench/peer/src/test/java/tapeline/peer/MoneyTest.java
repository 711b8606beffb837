package tapeline.peer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static tapeline.peer.Money.MAX_UNITS;
import static tapeline.peer.Money.ONE;
import static tapeline.peer.Money.OUT_OF_RANGE;

import java.math.BigInteger;
import java.util.Random;
import org.junit.jupiter.api.Test;

class MoneyTest {
    private static final long SEED = 20_120_621;

    @Test
    void productsAreRoundedAsDocumented() {
        assertEquals(1, Money.notional(15 * ONE / 10, 1));
        assertEquals(2, Money.purchaseReservation(15 * ONE / 10, 1, 0));
        assertEquals(0, Money.fee(999_999, 1));
        assertEquals(5, Money.saleReservation(5));
        assertEquals(OUT_OF_RANGE, Money.notional(MAX_UNITS, MAX_UNITS));
        assertEquals("-1.5", Money.decimal(-150_000_000));
        assertEquals("0.00000001", Money.decimal(1));
        assertEquals("7", Money.decimal(7 * ONE));
    }

    @Test
    void productsEqualThoseOfUnboundedNumbers() {
        Random random = new Random(SEED);
        BigInteger one = BigInteger.valueOf(ONE);
        for (int i = 0; i < 100_000; i++) {
            long a = random.nextLong() >>> (1 + random.nextInt(63));
            long b = random.nextLong() >>> (1 + random.nextInt(63));
            BigInteger product = BigInteger.valueOf(a).multiply(BigInteger.valueOf(b));
            BigInteger down = product.divide(one);
            BigInteger up = product.add(one).subtract(BigInteger.ONE).divide(one);
            assertEquals(inRange(down), Money.notional(a, b), () -> a + " * " + b);
            assertEquals(inRange(up), Money.purchaseReservation(a, b, 0), () -> a + " * " + b);
        }
    }

    private static long inRange(BigInteger units) {
        return units.compareTo(BigInteger.valueOf(MAX_UNITS)) > 0 ? OUT_OF_RANGE : units.longValue();
    }

    /** Any way of cutting an order into fills at its limit or better can be paid from its reservation. */
    @Test
    void reservationCoversEveryFill() {
        Random random = new Random(SEED);
        for (int i = 0; i < 20_000; i++) {
            long limit = random.nextLong(1, 1_000_000_000_000L);
            long makerPpm = random.nextLong(2_000);
            long takerPpm = makerPpm + random.nextLong(2_000);
            long[] fills = random.longs(random.nextInt(1, 8), 1, 10_000_000_000L).toArray();
            long leaves = 0;
            for (long fill : fills) {
                leaves += fill;
            }
            for (long fill : fills) {
                long price = limit - limit / 1_000_000 * random.nextLong(1_000_000);
                long before = Money.purchaseReservation(limit, leaves, takerPpm);
                leaves -= fill;
                long cost = Money.notional(price, fill);
                long spent = cost + Money.fee(cost, random.nextBoolean() ? makerPpm : takerPpm);
                assertTrue(before - Money.purchaseReservation(limit, leaves, takerPpm) >= spent);
            }
            assertEquals(0, Money.purchaseReservation(limit, leaves, takerPpm));
        }
    }
}
