package tapeline.peer.risk;

import tapeline.Account;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Posting;
import tapeline.RejectReason;
import tapeline.Rejection;
import tapeline.Settlement;
import tapeline.Side;
import tapeline.ValidatedCommand;

/**
 * One verdict for each command. Funds are reserved here, at acceptance; they move back or away only by settlements.
 *
 * <p>What is absent: matching, and any knowledge of the book.
 */
final class Risk {
    /** A command's verdict: exactly one of the two is there. */
    record Decision(ValidatedCommand accepted, Rejection rejected) {}

    private final RiskState state;

    Risk(RiskState state) {
        this.state = state;
    }

    /** Decides on a command; an accepted one has its funds reserved when this returns. */
    Decision decide(CommandAt at, Command command) {
        String name = command.getAccount();
        FirstVerdict first = at.isInOwnPartition()
                ? state.firstVerdict(name, command.getClientOrderId(), at.timeMs())
                : null;
        if (first != null) {
            return new Decision(null, duplicate(at, command, first));
        }
        Account account = state.accounts().get(name);
        Funds funds = state.fundsOf(name);
        Decision decision;
        RejectReason rejected = RejectReason.UNKNOWN;
        try {
            ValidatedCommand accepted = new ValidationLadder(state, at, command, account, funds).climb();
            takeEffect(accepted, funds);
            decision = new Decision(accepted, null);
        } catch (Refusal refusal) {
            rejected = refusal.reason();
            decision = new Decision(null, rejection(at, command, rejected, refusal.getMessage()));
        }
        // Only accounts that exist are remembered, so that made-up names can't fill the memory.
        if (at.isInOwnPartition() && account != null && rejected != RejectReason.MALFORMED) {
            FirstVerdict verdict = new FirstVerdict(at.commandId(), rejected, at.timeMs());
            state.remember(name, command.getClientOrderId(), verdict);
        }
        return decision;
    }

    /**
     * Applies a settlement: moves balances and follows the order. A balance below zero is an error of the pipeline's
     * own and stops it.
     */
    void settle(Settlement settlement) {
        String account = settlement.getAccount();
        Funds funds = state.fundsOf(account);
        for (Posting line : settlement.getPostings()) {
            if (line.getAccount().equals(account)) {
                Funds.Balance balance = funds.balance(line.getAsset());
                switch (line.getBucket()) {
                    case AVAILABLE -> balance.available = Math.addExact(balance.available, line.getAmount());
                    default -> balance.reserved = Math.addExact(balance.reserved, line.getAmount());
                }
            }
        }
        for (Funds.Balance balance : funds.balances) {
            if (balance.available < 0 || balance.reserved < 0) {
                throw new IllegalStateException(account + " " + balance.asset + ": " + balance.available
                        + " available and " + balance.reserved + " reserved after execution "
                        + settlement.getExecutionId());
            }
        }
        if (settlement.getOrderId() != null && settlement.getOrder() != null) {
            follow(settlement, funds);
        }
        state.funds().put(account, funds);
    }

    private void follow(Settlement settlement, Funds funds) {
        Long orderId = settlement.getOrderId();
        OpenOrder order = state.openOrders().get(orderId);
        if (order == null) {
            return;
        }
        if (settlement.getOrder().getDone()) {
            state.openOrders().delete(orderId);
            funds.openOrders--;
        } else {
            state.openOrders().put(orderId, order.withRest(settlement.getOrder()));
        }
    }

    /** Reserves funds and opens the order. */
    private void takeEffect(ValidatedCommand accepted, Funds funds) {
        boolean places = accepted.getKind() == CommandKind.PLACE;
        if (places) {
            boolean buys = accepted.getSide() == Side.BUY;
            OpenOrder order = new OpenOrder(
                    accepted.getInstrument(),
                    accepted.getSide(),
                    accepted.getOrderType(),
                    accepted.getPrice(),
                    accepted.getQuantity(),
                    accepted.getQuantity(),
                    accepted.getReservedAmount(),
                    buys ? accepted.getQuoteAsset() : accepted.getBaseAsset(),
                    accepted.getTakerFeePpm());
            state.openOrders().put(accepted.getCommandId(), order);
            funds.openOrders++;
        }
        if (accepted.getReservedAmount() > 0) {
            funds.reserve(accepted.getReservedAsset(), accepted.getReservedAmount());
        }
        if (places || accepted.getReservedAmount() > 0) {
            state.funds().put(accepted.getAccount(), funds);
        }
    }

    private static Rejection duplicate(CommandAt at, Command command, FirstVerdict first) {
        String outcome = first.isAccepted() ? "accepted" : "rejected";
        String text = "The client order id " + command.getClientOrderId() + " was used before by command "
                + first.commandId() + ", which was " + outcome + "; this one has no effect.";
        Rejection rejection = rejection(at, command, RejectReason.DUPLICATE_CLIENT_ORDER_ID, text);
        rejection.setOriginalCommandId(first.commandId());
        rejection.setOriginalAccepted(first.isAccepted());
        rejection.setOriginalReason(first.isAccepted() ? null : first.rejected());
        return rejection;
    }

    private static Rejection rejection(CommandAt at, Command command, RejectReason reason, String text) {
        Rejection rejection = new Rejection();
        rejection.setCommandId(at.commandId());
        rejection.setAccount(command.getAccount());
        rejection.setClientOrderId(command.getClientOrderId());
        rejection.setKind(command.getKind());
        rejection.setCommandedAtMs(at.timeMs());
        rejection.setInstrument(command.getInstrument());
        rejection.setReason(reason);
        rejection.setText(text);
        return rejection;
    }
}
