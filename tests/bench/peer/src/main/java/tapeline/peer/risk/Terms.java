package tapeline.peer.risk;

import static tapeline.peer.Money.MAX_UNITS;
import static tapeline.peer.Money.decimal;

import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Instrument;
import tapeline.OrderType;
import tapeline.RejectReason;
import tapeline.SelfTradePrevention;
import tapeline.Side;
import tapeline.TimeInForce;
import tapeline.ValidatedCommand;
import tapeline.peer.Money;

/** The rungs about an order's own terms: side, type and time in force make sense together, tick, lot, bounds, collar. */
final class Terms {
    private static final long DAY_MS = 86_400_000L;

    private Terms() {}

    /** Fills in the order that {@code command} places, but for its reservation. */
    static void placeOrder(long nowMs, Command command, Instrument instrument, ValidatedCommand order) {
        Side side = command.getSide();
        if (side == null) {
            throw new Refusal(RejectReason.INVALID_SIDE, "An order needs a side, BUY or SELL.");
        }
        OrderType type = command.getOrderType();
        if (type == null) {
            throw new Refusal(
                    RejectReason.INVALID_ORDER_TYPE, "An order needs a type: LIMIT, MARKET, STOP or STOP_LIMIT.");
        }
        typeFitsPrices(type, command);
        TimeInForce timeInForce = timeInForce(type, command);
        Long expiresAtMs = expiry(nowMs, timeInForce, command, instrument);
        extrasFit(type, timeInForce, command);
        long price = worstPrice(side, type, command, instrument);
        Long stopPrice = command.getStopPrice();
        if (stopPrice != null) {
            priceOnTick(stopPrice, instrument);
        }
        long quantity = command.getQuantity() == null ? 0 : command.getQuantity();
        quantityInLots(quantity, instrument);
        displayFits(quantity, command, instrument);
        notionalInBounds(price, quantity, instrument);
        insideCollar(price, instrument);
        if (stopPrice != null) {
            insideCollar(stopPrice, instrument);
        }
        SelfTradePrevention prevention = command.getSelfTradePrevention();
        order.setKind(CommandKind.PLACE);
        order.setInstrument(instrument.getSymbol());
        order.setBaseAsset(instrument.getBaseAsset());
        order.setQuoteAsset(instrument.getQuoteAsset());
        order.setSide(side);
        order.setOrderType(type);
        order.setTimeInForce(timeInForce);
        order.setQuantity(quantity);
        order.setPrice(price);
        order.setStopPrice(stopPrice);
        order.setDisplayQuantity(command.getDisplayQuantity());
        order.setPostOnly(command.getPostOnly());
        order.setExpiresAtMs(expiresAtMs);
        order.setSelfTradePrevention(prevention == null ? SelfTradePrevention.CANCEL_NEWEST : prevention);
        order.setMakerFeePpm(instrument.getMakerFeePpm());
        order.setTakerFeePpm(instrument.getTakerFeePpm());
    }

    static void priceOnTick(long price, Instrument instrument) {
        if (price <= 0 || price > MAX_UNITS) {
            throw new Refusal(
                    RejectReason.INVALID_PRICE, "A price must be above zero and below 10,000,000,000.");
        }
        long tick = instrument.getTickSize();
        if (tick > 0 && price % tick != 0) {
            throw new Refusal(
                    RejectReason.INVALID_TICK,
                    "The price " + decimal(price) + " is not a multiple of the tick size " + decimal(tick) + ".");
        }
    }

    static void quantityInLots(long quantity, Instrument instrument) {
        if (quantity <= 0 || quantity > MAX_UNITS) {
            throw new Refusal(
                    RejectReason.INVALID_QUANTITY, "A quantity must be above zero and below 10,000,000,000.");
        }
        long lot = instrument.getLotSize();
        if (lot > 0 && quantity % lot != 0) {
            throw new Refusal(
                    RejectReason.INVALID_LOT,
                    "The quantity " + decimal(quantity) + " is not a multiple of the lot size " + decimal(lot) + ".");
        }
        long min = instrument.getMinQuantity();
        if (quantity < min) {
            throw new Refusal(
                    RejectReason.QUANTITY_TOO_SMALL,
                    "The quantity " + decimal(quantity) + " is below the smallest, " + decimal(min) + ".");
        }
        long max = instrument.getMaxQuantity();
        if (quantity > max) {
            throw new Refusal(
                    RejectReason.QUANTITY_TOO_LARGE,
                    "The quantity " + decimal(quantity) + " is above the largest, " + decimal(max) + ".");
        }
    }

    static void insideCollar(long price, Instrument instrument) {
        long low = collarLow(instrument);
        long high = collarHigh(instrument);
        if (price < low || price > high) {
            throw new Refusal(
                    RejectReason.OUTSIDE_COLLAR,
                    "The price " + decimal(price) + " is outside the collar from " + decimal(low) + " to "
                            + decimal(high) + ".");
        }
    }

    private static boolean isStop(OrderType type) {
        return type == OrderType.STOP || type == OrderType.STOP_LIMIT;
    }

    /** Whether what is left after matching may rest in the book. */
    private static boolean mayRest(TimeInForce timeInForce) {
        return timeInForce != TimeInForce.IOC && timeInForce != TimeInForce.FOK;
    }

    private static void typeFitsPrices(OrderType type, Command command) {
        boolean wantsLimit = type == OrderType.LIMIT || type == OrderType.STOP_LIMIT;
        boolean hasLimit = command.getPrice() != null;
        boolean hasStop = command.getStopPrice() != null;
        String text;
        if (wantsLimit && !hasLimit) {
            text = "LIMIT and STOP_LIMIT orders need a price.";
        } else if (!wantsLimit && hasLimit) {
            text = "MARKET and STOP orders have no price: the collar bounds them.";
        } else if (isStop(type) && !hasStop) {
            text = "STOP and STOP_LIMIT orders need a stop_price.";
        } else if (!isStop(type) && hasStop) {
            text = "Only STOP and STOP_LIMIT orders have a stop_price.";
        } else {
            return;
        }
        throw new Refusal(RejectReason.INVALID_ORDER_TYPE, text);
    }

    private static TimeInForce timeInForce(OrderType type, Command command) {
        TimeInForce timeInForce = command.getTimeInForce();
        if (timeInForce == null) {
            timeInForce = type == OrderType.MARKET ? TimeInForce.IOC : TimeInForce.GTC;
        }
        if (type == OrderType.MARKET && mayRest(timeInForce)) {
            throw new Refusal(
                    RejectReason.INVALID_TIME_IN_FORCE, "A MARKET order is IOC or FOK: it never rests.");
        }
        if (isStop(type) && !mayRest(timeInForce)) {
            throw new Refusal(
                    RejectReason.INVALID_TIME_IN_FORCE,
                    "A stop order waits for its price: it is GTC, DAY or GTD.");
        }
        return timeInForce;
    }

    private static Long expiry(long nowMs, TimeInForce timeInForce, Command command, Instrument instrument) {
        Long expiresAtMs = command.getExpiresAtMs();
        if (timeInForce == TimeInForce.GTD) {
            if (expiresAtMs == null) {
                throw new Refusal(RejectReason.INVALID_TIME_IN_FORCE, "A GTD order needs expires_at_ms.");
            }
            if (expiresAtMs <= nowMs) {
                throw new Refusal(RejectReason.INVALID_TIME_IN_FORCE, "The order's expires_at_ms has passed.");
            }
            return expiresAtMs;
        }
        if (expiresAtMs != null) {
            throw new Refusal(RejectReason.INVALID_TIME_IN_FORCE, "Only a GTD order has expires_at_ms.");
        }
        return timeInForce == TimeInForce.DAY ? nextSessionClose(nowMs, instrument.getSessionCloseMs()) : null;
    }

    /** The first session close after {@code nowMs}. */
    private static Long nextSessionClose(long nowMs, long sessionCloseMs) {
        long today = nowMs - Math.floorMod(nowMs, DAY_MS) + sessionCloseMs;
        return today > nowMs ? today : today + DAY_MS;
    }

    private static void extrasFit(OrderType type, TimeInForce timeInForce, Command command) {
        boolean restsAsLimit = type == OrderType.LIMIT && mayRest(timeInForce);
        if (command.getPostOnly() && !restsAsLimit) {
            throw new Refusal(RejectReason.INVALID_TERMS, "Only a LIMIT order that may rest can be post-only.");
        }
        if (command.getDisplayQuantity() != null && !restsAsLimit) {
            throw new Refusal(
                    RejectReason.INVALID_TERMS, "Only a LIMIT order that may rest can have a display_quantity.");
        }
    }

    /** The limit, or for market and stop orders the last tick inside the collar. */
    private static long worstPrice(Side side, OrderType type, Command command, Instrument instrument) {
        if (type == OrderType.LIMIT || type == OrderType.STOP_LIMIT) {
            priceOnTick(command.getPrice(), instrument);
            return command.getPrice();
        }
        long tick = Math.max(instrument.getTickSize(), 1);
        long price;
        if (side == Side.BUY) {
            long high = collarHigh(instrument);
            price = high - high % tick;
        } else {
            price = (collarLow(instrument) + tick - 1) / tick * tick;
        }
        return Math.max(price, tick);
    }

    private static void displayFits(long quantity, Command command, Instrument instrument) {
        Long display = command.getDisplayQuantity();
        if (display == null) {
            return;
        }
        if (display <= 0 || display > quantity) {
            throw new Refusal(
                    RejectReason.INVALID_TERMS, "A display_quantity must be above zero and at most the quantity.");
        }
        if (instrument.getLotSize() > 0 && display % instrument.getLotSize() != 0) {
            throw new Refusal(
                    RejectReason.INVALID_LOT, "The display_quantity is not a multiple of the lot size.");
        }
    }

    private static void notionalInBounds(long price, long quantity, Instrument instrument) {
        long notional = Money.notional(price, quantity);
        if (notional == Money.OUT_OF_RANGE) {
            throw new Refusal(RejectReason.NOTIONAL_TOO_LARGE, "Price times quantity is out of range.");
        }
        if (notional < instrument.getMinNotional()) {
            throw new Refusal(
                    RejectReason.NOTIONAL_TOO_SMALL,
                    worth(notional, instrument) + ", below the smallest, " + decimal(instrument.getMinNotional()) + ".");
        }
        if (notional > instrument.getMaxNotional()) {
            throw new Refusal(
                    RejectReason.NOTIONAL_TOO_LARGE,
                    worth(notional, instrument) + ", above the largest, " + decimal(instrument.getMaxNotional()) + ".");
        }
    }

    private static String worth(long notional, Instrument instrument) {
        return "The order is worth " + decimal(notional) + " " + instrument.getQuoteAsset();
    }

    private static long collarWidth(Instrument instrument) {
        long width = Money.fee(instrument.getReferencePrice(), instrument.getCollarPpm());
        return width == Money.OUT_OF_RANGE ? MAX_UNITS : width;
    }

    private static long collarLow(Instrument instrument) {
        return Math.max(instrument.getReferencePrice() - collarWidth(instrument), 0);
    }

    private static long collarHigh(Instrument instrument) {
        return Math.min(instrument.getReferencePrice() + collarWidth(instrument), MAX_UNITS);
    }
}
