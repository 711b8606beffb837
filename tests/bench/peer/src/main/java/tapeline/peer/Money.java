package tapeline.peer;

/**
 * Products of prices, quantities and fee rates, exact and checked. What is reserved is rounded up, what is paid is
 * rounded down, so that a reservation covers every sequence of fills.
 *
 * <p>Prices, quantities and amounts are integers in units of 10^-8. Operands are never negative.
 */
public final class Money {
    /** One, in units of 10^-8. */
    public static final long ONE = 100_000_000L;
    /** Largest price, quantity or amount that a topic may carry: just below 10^10. */
    public static final long MAX_UNITS = 999_999_999_999_999_999L;
    /** The answer where a product leaves the range from 0 to {@link #MAX_UNITS}. */
    public static final long OUT_OF_RANGE = -1;

    private static final long MILLION = 1_000_000L;

    private Money() {}

    /** What a trade costs in the quote asset, rounded down. */
    public static long notional(long price, long quantity) {
        return scaledProduct(price, quantity, ONE, false);
    }

    /** The fee on a notional at a rate in parts per million, rounded down. */
    public static long fee(long notional, long ratePpm) {
        return scaledProduct(notional, ratePpm, MILLION, false);
    }

    /** What a purchase needs reserved in the quote asset: the notional plus the taker fee, both rounded up. */
    public static long purchaseReservation(long price, long quantity, long takerFeePpm) {
        long cost = scaledProduct(price, quantity, ONE, true);
        long fee = cost < 0 ? OUT_OF_RANGE : scaledProduct(cost, takerFeePpm, MILLION, true);
        return fee < 0 || fee > MAX_UNITS - cost ? OUT_OF_RANGE : cost + fee;
    }

    /** What a sale needs reserved in the base asset: the quantity. */
    public static long saleReservation(long quantity) {
        return quantity < 0 || quantity > MAX_UNITS ? OUT_OF_RANGE : quantity;
    }

    /** {@code units} as a decimal number without needless zeros, for sentences that people read. */
    public static String decimal(long units) {
        String sign = units < 0 ? "-" : "";
        long whole = Math.abs(units / ONE);
        long rest = Math.abs(units % ONE);
        if (rest == 0) {
            return sign + whole;
        }
        return sign + whole + "." + String.format("%08d", rest).replaceAll("0+$", "");
    }

    /**
     * {@code a * b / unit}. The product does not fit 64 bits, so both factors are split by the unit:
     * {@code a*b/unit = a1*b + a0*b1 + a0*b0/unit} with {@code a = a1*unit + a0} and {@code b = b1*unit + b0}.
     */
    private static long scaledProduct(long a, long b, long unit, boolean roundUp) {
        if ((a | b) < 0) {
            return OUT_OF_RANGE;
        }
        long a1 = a / unit;
        long a0 = a % unit;
        long b1 = b / unit;
        long b0 = b % unit;
        long high = a1 * b;
        if (Math.multiplyHigh(a1, b) != 0 || high < 0 || high > MAX_UNITS) {
            return OUT_OF_RANGE;
        }
        long low = a0 * b0;
        long rest = low / unit + (roundUp && low % unit != 0 ? 1 : 0);
        // a0 * b1 is below 2^63; if the rest carries it over, it shows as a negative number.
        long middle = a0 * b1 + rest;
        return middle < 0 || middle > MAX_UNITS - high ? OUT_OF_RANGE : high + middle;
    }
}
