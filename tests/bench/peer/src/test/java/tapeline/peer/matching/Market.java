package tapeline.peer.matching;

import static tapeline.peer.Money.ONE;

import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import tapeline.CommandKind;
import tapeline.Execution;
import tapeline.ExecutionKind;
import tapeline.OrderState;
import tapeline.OrderType;
import tapeline.SelfTradePrevention;
import tapeline.Side;
import tapeline.TimeInForce;
import tapeline.ValidatedCommand;
import tapeline.peer.Money;

/** Books under test: commands in short form, and executions as lines of text. */
final class Market {
    static final String SYMBOL = "AAPL-USD";
    private static final long TAKER_FEE_PPM = 1_000;

    /** A store that forgets: most tests ask only what the books did. */
    static final BookStore NO_STORE = new BookStore() {
        @Override
        public void put(Order order) {}

        @Override
        public void delete(long orderId) {}

        @Override
        public void putLastPrice(String symbol, long price) {}

        @Override
        public void putSequences(Sequences sequences) {}
    };

    private final List<String> told = new ArrayList<>();
    private final Matching matching = new Matching(2, NO_STORE, execution -> told.add(line(execution)));

    /** Applies a command and returns what happened, quotes left out. */
    List<String> apply(ValidatedCommand command) {
        told.clear();
        matching.apply(5, command);
        return told.stream().filter(line -> !line.startsWith("QUOTED")).toList();
    }

    /** The quote that the last command told; empty if it told none. */
    String quote() {
        return told.stream().filter(line -> line.startsWith("QUOTED")).findFirst().orElse("");
    }

    List<String> tick(long nowMs) {
        told.clear();
        matching.tick(nowMs);
        return List.copyOf(told);
    }

    static ValidatedCommand limit(long id, String account, Side side, long quantity, long price) {
        ValidatedCommand command = bare(id, account, CommandKind.PLACE);
        command.setBaseAsset("AAPL");
        command.setQuoteAsset("USD");
        command.setSide(side);
        command.setOrderType(OrderType.LIMIT);
        command.setTimeInForce(TimeInForce.GTC);
        command.setQuantity(quantity * ONE);
        command.setPrice(price * ONE);
        command.setSelfTradePrevention(SelfTradePrevention.CANCEL_NEWEST);
        command.setTakerFeePpm(TAKER_FEE_PPM);
        command.setReservedAsset(side == Side.BUY ? "USD" : "AAPL");
        command.setReservedAmount(needed(side, quantity, price));
        return command;
    }

    static ValidatedCommand amend(long id, String account, long target, Long quantity, Long price, long extra) {
        ValidatedCommand command = bare(id, account, CommandKind.AMEND);
        command.setTargetOrderId(target);
        command.setQuantity(quantity == null ? null : quantity * ONE);
        command.setPrice(price == null ? null : price * ONE);
        command.setReservedAsset("USD");
        command.setReservedAmount(extra);
        return command;
    }

    static ValidatedCommand cancel(long id, String account, long target) {
        ValidatedCommand command = bare(id, account, CommandKind.CANCEL);
        command.setTargetOrderId(target);
        return command;
    }

    static ValidatedCommand bare(long id, String account, CommandKind kind) {
        ValidatedCommand command = new ValidatedCommand();
        command.setCommandId(id);
        command.setAccount(account);
        command.setClientOrderId("c" + id);
        command.setKind(kind);
        command.setInstrument(SYMBOL);
        return command;
    }

    static long needed(Side side, long quantity, long price) {
        return side == Side.BUY
                ? Money.purchaseReservation(price * ONE, quantity * ONE, TAKER_FEE_PPM)
                : Money.saleReservation(quantity * ONE);
    }

    /** An execution in short: kind, order, what is left of it, and what else the kind has to tell. */
    static String line(Execution execution) {
        ExecutionKind kind = execution.getKind();
        StringJoiner line = new StringJoiner(" ");
        line.add(kind.name());
        switch (kind) {
            case TRADED -> line.add(Money.decimal(execution.getQuantity()))
                    .add("@" + Money.decimal(execution.getPrice()))
                    .add("taker " + order(execution.getOrder()))
                    .add("maker " + order(execution.getMaker()));
            case QUOTED -> line.add(level(execution.getBidQuantity(), execution.getBidPrice()))
                    .add(level(execution.getAskQuantity(), execution.getAskPrice()));
            case REFUSED -> line.add(execution.getRefuseReason().name())
                    .add("gives back " + Money.decimal(execution.getAmount()));
            case CANCELLED -> line.add(order(execution.getOrder())).add(execution.getCancelReason().name());
            case AMENDED -> line.add(order(execution.getOrder())).add(execution.getKeptPlace() ? "kept" : "lost");
            default -> line.add(order(execution.getOrder()));
        }
        return line.toString();
    }

    private static String order(OrderState order) {
        return order.getOrderId() + ":" + Money.decimal(order.getLeaves());
    }

    private static String level(Long quantity, Long price) {
        return price == null ? "-" : Money.decimal(quantity) + "@" + Money.decimal(price);
    }
}
