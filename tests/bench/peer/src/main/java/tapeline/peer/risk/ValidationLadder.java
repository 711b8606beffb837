package tapeline.peer.risk;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.streams.KeyValue;
import tapeline.Account;
import tapeline.AccountStatus;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Instrument;
import tapeline.InstrumentStatus;
import tapeline.OrderType;
import tapeline.RejectReason;
import tapeline.Side;
import tapeline.ValidatedCommand;
import tapeline.peer.Money;

/**
 * The validation ladder for one command: one rung after the other, the first that fails decides.
 *
 * <p>It reads state and changes none. {@code processors/domain/tests/ladder.txt} of the repository is its table in
 * order of precedence, and a test holds it to that.
 */
final class ValidationLadder {
    private static final int MAX_NAME_BYTES = 64;
    private static final char SYSTEM_ACCOUNT_PREFIX = '@';

    private final RiskState state;
    private final CommandAt at;
    private final Command command;
    private final Account account;
    private final Funds funds;
    private final ValidatedCommand accepted = new ValidatedCommand();

    /** {@code account} is the account's reference data, null if there is none. */
    ValidationLadder(RiskState state, CommandAt at, Command command, Account account, Funds funds) {
        this.state = state;
        this.at = at;
        this.command = command;
        this.account = account;
        this.funds = funds;
    }

    /** The accepted command, with what is to be reserved for it. Throws a {@link Refusal} otherwise. */
    ValidatedCommand climb() {
        accepted.setCommandId(at.commandId());
        accepted.setAccount(command.getAccount());
        accepted.setClientOrderId(command.getClientOrderId());
        accepted.setCommandedAtMs(at.timeMs());
        wellFormed();
        if (!at.isInOwnPartition()) {
            throw new Refusal(
                    RejectReason.WRONG_PARTITION,
                    "The record is not in its account's partition: publish with the account as key and the murmur2"
                            + " partitioner.");
        }
        switch (command.getKind()) {
            case PLACE -> place();
            case AMEND -> amend();
            case CANCEL -> cancel();
            case CANCEL_ALL -> cancelAll();
            default -> transfer();
        }
        return accepted;
    }

    /** What kinds of command only take risk away: they pass where an account or instrument is closed. */
    private boolean onlyCancels() {
        return command.getKind() == CommandKind.CANCEL || command.getKind() == CommandKind.CANCEL_ALL;
    }

    private void place() {
        Instrument instrument = instrument();
        accountMay();
        Terms.placeOrder(at.timeMs(), command, instrument, accepted);
        long open = funds.openOrders;
        if (open >= account.getMaxOpenOrders()) {
            throw new Refusal(
                    RejectReason.TOO_MANY_OPEN_ORDERS,
                    "The account has " + open + " open orders; " + account.getMaxOpenOrders() + " are allowed.");
        }
        boolean buys = accepted.getSide() == Side.BUY;
        String asset = buys ? accepted.getQuoteAsset() : accepted.getBaseAsset();
        long needed = inRange(reservation(
                accepted.getSide(), accepted.getPrice(), accepted.getQuantity(), accepted.getTakerFeePpm()));
        hold(asset, needed);
    }

    private void amend() {
        accountMay();
        KeyValue<Long, OpenOrder> target = target();
        OpenOrder order = target.value;
        Instrument instrument = openInstrument(order.instrument());
        if (command.getQuantity() == null && command.getPrice() == null) {
            throw new Refusal(
                    RejectReason.INVALID_TERMS, "An amend needs a new quantity, a new price or both.");
        }
        boolean hasLimit = order.orderType() == OrderType.LIMIT || order.orderType() == OrderType.STOP_LIMIT;
        if (command.getPrice() != null && !hasLimit) {
            throw new Refusal(
                    RejectReason.INVALID_TERMS, "Only an order with a limit price can be given another one.");
        }
        long price = command.getPrice() == null ? order.price() : command.getPrice();
        long quantity = command.getQuantity() == null ? order.quantity() : command.getQuantity();
        if (command.getPrice() != null) {
            Terms.priceOnTick(price, instrument);
        }
        Terms.quantityInLots(quantity, instrument);
        if (command.getPrice() != null) {
            Terms.insideCollar(price, instrument);
        }
        // What is filled is known as far as settlements have come; the executor refuses what the rest can't cover.
        long leaves = Math.max(quantity - (order.quantity() - order.leaves()), 0);
        long needed = inRange(reservation(order.side(), price, leaves, order.takerFeePpm()));
        accepted.setKind(CommandKind.AMEND);
        accepted.setInstrument(order.instrument());
        accepted.setTargetOrderId(target.key);
        accepted.setQuantity(command.getQuantity());
        accepted.setPrice(command.getPrice());
        hold(order.reserveAsset(), Math.max(needed - order.reserved(), 0));
    }

    private void cancel() {
        accountMay();
        KeyValue<Long, OpenOrder> target = target();
        accepted.setKind(CommandKind.CANCEL);
        accepted.setInstrument(target.value.instrument());
        accepted.setTargetOrderId(target.key);
    }

    private void cancelAll() {
        Instrument instrument = instrument();
        accountMay();
        accepted.setKind(CommandKind.CANCEL_ALL);
        accepted.setInstrument(instrument.getSymbol());
    }

    private void transfer() {
        accountMay();
        String asset = command.getAsset();
        if (asset == null || !isName(asset)) {
            throw new Refusal(
                    RejectReason.INVALID_TERMS, "A deposit or withdrawal needs an asset (1 to 64 bytes).");
        }
        long amount = command.getAmount() == null ? 0 : command.getAmount();
        if (amount <= 0 || amount > Money.MAX_UNITS) {
            throw new Refusal(
                    RejectReason.INVALID_AMOUNT, "The amount must be above zero and below 10,000,000,000.");
        }
        accepted.setKind(command.getKind());
        accepted.setAsset(asset);
        accepted.setAmount(amount);
        if (command.getKind() == CommandKind.WITHDRAW) {
            hold(asset, amount);
            return;
        }
        Funds.Balance balance = funds.find(asset);
        // Neither part of a balance is above the largest amount but by little, so the sum does not overflow.
        long held = balance == null ? 0 : balance.available + balance.reserved;
        if (held > Money.MAX_UNITS - amount) {
            throw new Refusal(
                    RejectReason.INVALID_AMOUNT,
                    "The balance would reach 10,000,000,000, more than an account can hold.");
        }
    }

    private Instrument instrument() {
        String symbol = command.getInstrument();
        if (symbol == null) {
            throw new Refusal(RejectReason.UNKNOWN_INSTRUMENT, "The command names no instrument.");
        }
        Instrument instrument = state.instrument(symbol);
        if (instrument == null) {
            throw new Refusal(RejectReason.UNKNOWN_INSTRUMENT, "There is no instrument " + symbol + ".");
        }
        return onlyCancels() ? instrument : open(instrument);
    }

    private Instrument openInstrument(String symbol) {
        Instrument instrument = state.instrument(symbol);
        if (instrument == null) {
            throw new Refusal(
                    RejectReason.UNKNOWN_INSTRUMENT, "There is no instrument " + symbol + " any more.");
        }
        return open(instrument);
    }

    private static Instrument open(Instrument instrument) {
        if (instrument.getStatus() == InstrumentStatus.OPEN) {
            return instrument;
        }
        throw new Refusal(
                RejectReason.INSTRUMENT_NOT_OPEN,
                "The instrument " + instrument.getSymbol() + " takes no orders now, only cancels.");
    }

    private void accountMay() {
        if (account == null) {
            throw new Refusal(
                    RejectReason.UNKNOWN_ACCOUNT, "There is no account " + command.getAccount() + ".");
        }
        if (account.getStatus() != AccountStatus.ACTIVE && !onlyCancels()) {
            throw new Refusal(
                    RejectReason.ACCOUNT_NOT_ACTIVE,
                    "The account " + command.getAccount() + " is not active; it may only cancel.");
        }
    }

    private KeyValue<Long, OpenOrder> target() {
        String target = command.getTargetClientOrderId();
        if (target == null) {
            throw new Refusal(
                    RejectReason.UNKNOWN_ORDER, "The command names no order: set target_client_order_id.");
        }
        KeyValue<Long, OpenOrder> order = state.openOrder(command.getAccount(), target);
        if (order == null) {
            throw new Refusal(RejectReason.UNKNOWN_ORDER, "The account has no open order " + target + ".");
        }
        return order;
    }

    /** The last rung: whether the amount is available. The accepted command says what is to be reserved. */
    private void hold(String asset, long amount) {
        long available = funds.available(asset);
        if (available < amount) {
            throw new Refusal(
                    RejectReason.INSUFFICIENT_FUNDS,
                    "This needs " + Money.decimal(amount) + " " + asset + ", and " + Money.decimal(available) + " "
                            + asset + " are available.");
        }
        accepted.setReservedAsset(asset);
        accepted.setReservedAmount(amount);
    }

    private static long reservation(Side side, long price, long quantity, long takerFeePpm) {
        return side == Side.BUY
                ? Money.purchaseReservation(price, quantity, takerFeePpm)
                : Money.saleReservation(quantity);
    }

    private static long inRange(long needed) {
        if (needed == Money.OUT_OF_RANGE) {
            throw new Refusal(RejectReason.NOTIONAL_TOO_LARGE, "Price times quantity is out of range.");
        }
        return needed;
    }

    /** The first rung: the names by which all others go. */
    private void wellFormed() {
        String name = command.getAccount();
        if (!isName(name) || name.charAt(0) == SYSTEM_ACCOUNT_PREFIX) {
            throw new Refusal(
                    RejectReason.MALFORMED, "The account must have 1 to 64 bytes and not begin with @.");
        }
        if (!isName(command.getClientOrderId())) {
            throw new Refusal(
                    RejectReason.MALFORMED,
                    "The client_order_id must have 1 to 64 bytes, none of them a control character.");
        }
    }

    private static boolean isName(String text) {
        boolean isShort = text.length() <= MAX_NAME_BYTES / 3
                || text.getBytes(StandardCharsets.UTF_8).length <= MAX_NAME_BYTES;
        return !text.isEmpty() && isShort && text.chars().noneMatch(Character::isISOControl);
    }
}
