package tapeline.peer.matching;

import tapeline.OrderState;
import tapeline.OrderStatus;
import tapeline.OrderType;
import tapeline.SelfTradePrevention;
import tapeline.Side;
import tapeline.TimeInForce;
import tapeline.ValidatedCommand;
import tapeline.peer.Money;

/** One order: how its quantities, its status and its reservation move. */
final class Order {
    private static final long NONE = 0;

    /** What executions tell of it. {@code reserved_after} is what is reserved now. */
    final OrderState state;
    /** When it came in, as a sequence over all books. */
    final long entry;
    /** Largest slice of an iceberg; 0 for other orders. */
    final long displayQuantity;
    /** When it ends by itself; 0 if it does not. */
    final long expiresAtMs;
    final boolean isPostOnly;
    final SelfTradePrevention selfTradePrevention;

    /** Its turn in the queue of its price level, as a sequence over all books. */
    long turn;
    /** The slice that shows and can trade while it rests; 0 otherwise. */
    long displayed;
    /** Neighbours in the queue of its price level. */
    Order previous;
    Order next;

    /** Whether it is resting or waiting, whether the store has it, and whether the store has to hear of it. */
    boolean isLive;
    boolean isStored;
    boolean isChanged;

    Order(
            OrderState state,
            long entry,
            long displayQuantity,
            long expiresAtMs,
            boolean isPostOnly,
            SelfTradePrevention selfTradePrevention) {
        this.state = state;
        this.entry = entry;
        this.displayQuantity = displayQuantity;
        this.expiresAtMs = expiresAtMs;
        this.isPostOnly = isPostOnly;
        this.selfTradePrevention = selfTradePrevention;
    }

    /** The order that a PLACE command places. */
    static Order placed(ValidatedCommand command, long entry) {
        OrderState state = new OrderState();
        state.setOrderId(command.getCommandId());
        state.setAccount(command.getAccount());
        state.setClientOrderId(command.getClientOrderId());
        state.setInstrument(command.getInstrument());
        state.setBaseAsset(command.getBaseAsset());
        state.setQuoteAsset(command.getQuoteAsset());
        state.setSide(command.getSide());
        state.setOrderType(command.getOrderType());
        state.setTimeInForce(command.getTimeInForce());
        state.setPrice(command.getPrice());
        state.setStopPrice(command.getStopPrice());
        state.setQuantity(command.getQuantity());
        state.setLeaves(command.getQuantity());
        state.setStatus(isStop(command.getOrderType()) ? OrderStatus.WAITING : OrderStatus.OPEN);
        state.setMakerFeePpm(command.getMakerFeePpm());
        state.setTakerFeePpm(command.getTakerFeePpm());
        state.setReservedBefore(command.getReservedAmount());
        state.setReservedAfter(command.getReservedAmount());
        return new Order(
                state,
                entry,
                orNone(command.getDisplayQuantity()),
                orNone(command.getExpiresAtMs()),
                command.getPostOnly(),
                command.getSelfTradePrevention());
    }

    private static long orNone(Long value) {
        return value == null ? NONE : value;
    }

    private static boolean isStop(OrderType type) {
        return type == OrderType.STOP || type == OrderType.STOP_LIMIT;
    }

    static Side opposite(Side side) {
        return side == Side.BUY ? Side.SELL : Side.BUY;
    }

    /** Price as a sort key, and back: the best price of a side has the lowest. */
    static long priceKey(Side side, long price) {
        return side == Side.BUY ? -price : price;
    }

    /**
     * Whether its terms are such that no later product can leave its range and its reservation covers it. The validator
     * lets nothing else through.
     */
    boolean isSound() {
        long needed = needed(state.getPrice(), state.getLeaves());
        boolean stopFits = !isStop(state.getOrderType())
                || (state.getStopPrice() != null && isInRange(state.getStopPrice()));
        return isInRange(state.getQuantity())
                && isInRange(state.getPrice())
                && (displayQuantity == NONE || isInRange(displayQuantity))
                && stopFits
                && state.getTakerFeePpm() <= 1_000_000
                && state.getMakerFeePpm() >= 0
                && state.getMakerFeePpm() <= state.getTakerFeePpm()
                && needed != Money.OUT_OF_RANGE
                && needed <= state.getReservedAfter();
    }

    private static boolean isInRange(long units) {
        return units >= 1 && units <= Money.MAX_UNITS;
    }

    /** What must be reserved for it with another price and quantity; {@link Money#OUT_OF_RANGE} if too much. */
    long needed(long price, long leaves) {
        return state.getSide() == Side.BUY
                ? Money.purchaseReservation(price, leaves, state.getTakerFeePpm())
                : Money.saleReservation(leaves);
    }

    boolean isWaiting() {
        return state.getStatus() == OrderStatus.WAITING;
    }

    /** Whether it takes what it can within its price and never rests. */
    boolean isMarket() {
        return state.getOrderType() == OrderType.MARKET || state.getOrderType() == OrderType.STOP;
    }

    boolean isFillOrKill() {
        return state.getTimeInForce() == TimeInForce.FOK;
    }

    /** The worst key on the opposite side that it trades with. */
    long limitKey() {
        return priceKey(opposite(state.getSide()), state.getPrice());
    }

    /** Sort key of a waiting stop: reached when not above the key of a trade price. */
    long triggerKey() {
        return priceKey(opposite(state.getSide()), state.getStopPrice());
    }

    /** How much of it shows when it joins a queue. */
    long slice() {
        return displayQuantity == NONE ? state.getLeaves() : Math.min(displayQuantity, state.getLeaves());
    }

    /** Trades {@code quantity}, at most its leaves. */
    void fill(long quantity) {
        begin();
        state.setFilled(state.getFilled() + quantity);
        state.setLeaves(state.getLeaves() - quantity);
        if (state.getLeaves() == 0) {
            state.setStatus(OrderStatus.FILLED);
            state.setReservedAfter(0);
        } else {
            state.setStatus(OrderStatus.PARTLY_FILLED);
            settleReservation();
        }
    }

    /** Gives up {@code quantity}, less than its leaves, to self-trade prevention. The total quantity stays as it was. */
    void decrement(long quantity) {
        begin();
        state.setLeaves(state.getLeaves() - quantity);
        settleReservation();
    }

    /** Takes new terms that its reservation, with {@code extra} on top, is known to cover. */
    void amend(long price, long quantity, long leaves, long extra) {
        begin();
        state.setReservedBefore(state.getReservedBefore() + extra);
        state.setPrice(price);
        state.setQuantity(quantity);
        state.setLeaves(leaves);
        settleReservation();
    }

    /** Ends it unfilled; {@code leaves} stays and says what was given up. {@code extra} was reserved on top. */
    void end(OrderStatus status, long extra) {
        begin();
        state.setReservedBefore(state.getReservedBefore() + extra);
        state.setStatus(status);
        state.setReservedAfter(0);
    }

    /** A stop wakes. Nothing of its reservation moves. */
    void trigger() {
        begin();
        state.setStatus(OrderStatus.OPEN);
    }

    /** Before an event that changes its reservation. */
    private void begin() {
        state.setReservedBefore(state.getReservedAfter());
    }

    /** Brings the reservation down to what the rest needs. It never rises here, so the product is in range. */
    private void settleReservation() {
        state.setReservedAfter(needed(state.getPrice(), state.getLeaves()));
    }
}
