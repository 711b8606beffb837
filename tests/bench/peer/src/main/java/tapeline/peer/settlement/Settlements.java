package tapeline.peer.settlement;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import tapeline.Bucket;
import tapeline.Execution;
import tapeline.Liquidity;
import tapeline.OrderRest;
import tapeline.OrderState;
import tapeline.OrderStatus;
import tapeline.Posting;
import tapeline.Settlement;
import tapeline.SettlementKind;
import tapeline.Side;
import tapeline.peer.Money;

/**
 * From what the book did to balanced ledger postings: a pure function of one execution.
 *
 * <p>Each record balances by itself: its postings sum to zero for each asset. The two sides of a trade meet in the
 * clearing account, which is zero again when both are applied.
 */
final class Settlements {
    private static final String FEES = "@fees";
    private static final String CLEARING = "@clearing";
    private static final String OUTSIDE = "@outside";

    private final long executionId;
    private final long executedAtMs;
    private final Execution execution;

    private Settlements(long executionId, long executedAtMs, Execution execution) {
        this.executionId = executionId;
        this.executedAtMs = executedAtMs;
        this.execution = execution;
    }

    /** Gives {@code out} one record for each account that the execution touches. Throws {@link Unbalanced} before any. */
    static void settle(long executionId, long executedAtMs, Execution execution, Consumer<Settlement> out) {
        Settlements settlements = new Settlements(executionId, executedAtMs, execution);
        OrderState order = execution.getOrder();
        switch (execution.getKind()) {
            case TRADED -> {
                Settlement taker = settlements.tradeSide(order, Liquidity.TAKER);
                Settlement maker = settlements.tradeSide(execution.getMaker(), Liquidity.MAKER);
                out.accept(taker);
                out.accept(maker);
            }
            case AMENDED -> out.accept(settlements.release(SettlementKind.AMENDED, order));
            case CANCELLED -> out.accept(settlements.release(SettlementKind.CANCELLED, order));
            case EXPIRED -> out.accept(settlements.release(SettlementKind.EXPIRED, order));
            case REFUSED -> {
                if (execution.getAsset() != null && execution.getAmount() > 0) {
                    out.accept(settlements.refused());
                }
            }
            case TRANSFERRED -> out.accept(settlements.transfer());
            default -> {
                // ACCEPTED, TRIGGERED and QUOTED move nothing.
            }
        }
    }

    private Settlement tradeSide(OrderState order, Liquidity liquidity) {
        long price = execution.getPrice();
        long quantity = execution.getQuantity();
        long notional = Money.notional(price, quantity);
        long ratePpm = liquidity == Liquidity.MAKER ? order.getMakerFeePpm() : order.getTakerFeePpm();
        long fee = notional < 0 ? Money.OUT_OF_RANGE : Money.fee(notional, ratePpm);
        if (fee == Money.OUT_OF_RANGE) {
            throw new Unbalanced("trade " + execution.getTradeId() + ": notional or fee is out of range");
        }
        boolean buys = order.getSide() == Side.BUY;
        String account = order.getAccount();
        String base = order.getBaseAsset();
        String quote = order.getQuoteAsset();
        long spent = buys ? notional + fee : quantity;
        long returned = freed(order, spent);
        List<Posting> lines = new ArrayList<>(6);
        add(lines, account, reserveAsset(order), Bucket.RESERVED, -(spent + returned));
        add(lines, account, reserveAsset(order), Bucket.AVAILABLE, returned);
        add(lines, account, buys ? base : quote, Bucket.AVAILABLE, buys ? quantity : notional - fee);
        add(lines, CLEARING, base, Bucket.AVAILABLE, buys ? -quantity : quantity);
        add(lines, CLEARING, quote, Bucket.AVAILABLE, buys ? notional : -notional);
        add(lines, FEES, quote, Bucket.AVAILABLE, fee);
        Settlement settlement = about(SettlementKind.TRADE, order, lines);
        settlement.setTradeId(execution.getTradeId());
        settlement.setSide(order.getSide());
        settlement.setLiquidity(liquidity);
        settlement.setPrice(price);
        settlement.setQuantity(quantity);
        settlement.setNotional(notional);
        settlement.setFee(fee);
        return settlement;
    }

    private Settlement release(SettlementKind kind, OrderState order) {
        return about(kind, order, releaseLines(order.getAccount(), reserveAsset(order), freed(order, 0)));
    }

    /** A refused amend gives back what it had reserved. */
    private Settlement refused() {
        List<Posting> lines = releaseLines(execution.getAccount(), execution.getAsset(), execution.getAmount());
        Settlement settlement = bare(SettlementKind.REFUSED, execution.getAccount(), lines);
        settlement.setInstrument(execution.getInstrument());
        settlement.setOrderId(execution.getTargetOrderId());
        return settlement;
    }

    private Settlement transfer() {
        String account = execution.getAccount();
        String asset = execution.getAsset();
        long amount = execution.getAmount();
        boolean comesIn = amount > 0;
        List<Posting> lines = new ArrayList<>(2);
        add(lines, account, asset, comesIn ? Bucket.AVAILABLE : Bucket.RESERVED, amount);
        add(lines, OUTSIDE, asset, Bucket.AVAILABLE, Math.negateExact(amount));
        return bare(comesIn ? SettlementKind.DEPOSIT : SettlementKind.WITHDRAWAL, account, lines);
    }

    private Settlement about(SettlementKind kind, OrderState order, List<Posting> lines) {
        OrderRest rest = new OrderRest();
        rest.setPrice(order.getPrice());
        rest.setQuantity(order.getQuantity());
        rest.setLeaves(order.getLeaves());
        rest.setReserved(order.getReservedAfter());
        OrderStatus status = order.getStatus();
        rest.setDone(status == OrderStatus.FILLED || status == OrderStatus.CANCELLED || status == OrderStatus.EXPIRED);
        Settlement settlement = bare(kind, order.getAccount(), lines);
        settlement.setInstrument(order.getInstrument());
        settlement.setOrderId(order.getOrderId());
        settlement.setOrder(rest);
        return settlement;
    }

    private Settlement bare(SettlementKind kind, String account, List<Posting> lines) {
        Settlement settlement = new Settlement();
        settlement.setKind(kind);
        settlement.setExecutionId(executionId);
        settlement.setCommandId(execution.getCommandId());
        settlement.setAccount(account);
        settlement.setPostings(lines);
        settlement.setCommandedAtMs(execution.getCommandedAtMs());
        settlement.setValidatedAtMs(execution.getValidatedAtMs());
        settlement.setExecutedAtMs(executedAtMs);
        return settlement;
    }

    /** What goes back to available: reserved before, less what stays reserved, less what was spent. */
    private static long freed(OrderState order, long spent) {
        long freed = Math.subtractExact(
                Math.subtractExact(order.getReservedBefore(), order.getReservedAfter()), spent);
        if (freed < 0) {
            throw new Unbalanced("order " + order.getOrderId() + ": " + spent + " spent of " + order.getReservedBefore()
                    + " reserved, of which " + order.getReservedAfter() + " stay reserved");
        }
        return freed;
    }

    private static String reserveAsset(OrderState order) {
        return order.getSide() == Side.BUY ? order.getQuoteAsset() : order.getBaseAsset();
    }

    private static List<Posting> releaseLines(String account, String asset, long released) {
        List<Posting> lines = new ArrayList<>(2);
        add(lines, account, asset, Bucket.RESERVED, -released);
        add(lines, account, asset, Bucket.AVAILABLE, released);
        return lines;
    }

    /** Adds a line, unless it moves nothing. */
    private static void add(List<Posting> lines, String account, String asset, Bucket bucket, long amount) {
        if (amount == 0) {
            return;
        }
        Posting line = new Posting();
        line.setAccount(account);
        line.setAsset(asset);
        line.setBucket(bucket);
        line.setAmount(amount);
        lines.add(line);
    }
}
