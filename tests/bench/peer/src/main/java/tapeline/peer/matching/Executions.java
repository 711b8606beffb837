package tapeline.peer.matching;

import java.util.function.Consumer;
import tapeline.CancelReason;
import tapeline.Execution;
import tapeline.ExecutionKind;
import tapeline.RefuseReason;
import tapeline.ValidatedCommand;

/**
 * Makes the executions of one command and hands each on at once.
 *
 * <p>An execution refers to the live orders, so the receiver must be done with it (Streams' sink has written its bytes)
 * when it returns: the order goes on changing.
 */
final class Executions {
    private final Consumer<Execution> receiver;
    private long commandId;
    private long commandedAtMs;
    private long validatedAtMs;

    Executions(Consumer<Execution> receiver) {
        this.receiver = receiver;
    }

    /** What follows was caused by this command. {@code validatedAtMs}: append time of the record that is acted on. */
    void begin(long commandId, long commandedAtMs, long validatedAtMs) {
        this.commandId = commandId;
        this.commandedAtMs = commandedAtMs;
        this.validatedAtMs = validatedAtMs;
    }

    void accepted(Order order) {
        receiver.accept(about(ExecutionKind.ACCEPTED, order));
    }

    void triggered(Order order) {
        receiver.accept(about(ExecutionKind.TRIGGERED, order));
    }

    void expired(Order order) {
        receiver.accept(about(ExecutionKind.EXPIRED, order));
    }

    void amended(Order order, boolean keptPlace) {
        Execution execution = about(ExecutionKind.AMENDED, order);
        execution.setKeptPlace(keptPlace);
        receiver.accept(execution);
    }

    void cancelled(Order order, CancelReason reason) {
        Execution execution = about(ExecutionKind.CANCELLED, order);
        execution.setCancelReason(reason);
        receiver.accept(execution);
    }

    void traded(long tradeId, long price, long quantity, Order taker, Order maker) {
        Execution execution = about(ExecutionKind.TRADED, taker);
        execution.setMaker(maker.state);
        execution.setTradeId(tradeId);
        execution.setPrice(price);
        execution.setQuantity(quantity);
        receiver.accept(execution);
    }

    /** An amend or cancel did nothing; what it had reserved goes back. */
    void refused(ValidatedCommand command, RefuseReason reason) {
        Execution execution = bare(ExecutionKind.REFUSED);
        execution.setInstrument(command.getInstrument());
        execution.setRefuseReason(reason);
        execution.setAccount(command.getAccount());
        execution.setClientOrderId(command.getClientOrderId());
        execution.setTargetOrderId(command.getTargetOrderId());
        boolean givesBack = command.getReservedAmount() > 0;
        execution.setAsset(givesBack ? command.getReservedAsset() : null);
        execution.setAmount(givesBack ? command.getReservedAmount() : 0L);
        receiver.accept(execution);
    }

    void quoted(Book book) {
        Execution execution = bare(ExecutionKind.QUOTED);
        execution.setInstrument(book.symbol);
        if (book.bids.best() != null) {
            execution.setBidPrice(book.bids.bestPrice());
            execution.setBidQuantity(book.bids.bestQuantity());
        }
        if (book.asks.best() != null) {
            execution.setAskPrice(book.asks.bestPrice());
            execution.setAskQuantity(book.asks.bestQuantity());
        }
        receiver.accept(execution);
    }

    /** A deposit (positive) or withdrawal (negative) on its way to settlement. */
    void transferred(ValidatedCommand command, long amount) {
        Execution execution = bare(ExecutionKind.TRANSFERRED);
        execution.setAccount(command.getAccount());
        execution.setClientOrderId(command.getClientOrderId());
        execution.setAsset(command.getAsset());
        execution.setAmount(amount);
        receiver.accept(execution);
    }

    private Execution about(ExecutionKind kind, Order order) {
        Execution execution = bare(kind);
        execution.setInstrument(order.state.getInstrument());
        execution.setOrder(order.state);
        return execution;
    }

    private Execution bare(ExecutionKind kind) {
        Execution execution = new Execution();
        execution.setKind(kind);
        execution.setCommandId(commandId);
        execution.setCommandedAtMs(commandedAtMs);
        execution.setValidatedAtMs(validatedAtMs);
        return execution;
    }
}
