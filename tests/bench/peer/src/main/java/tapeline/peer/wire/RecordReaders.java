package tapeline.peer.wire;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.io.Decoder;
import tapeline.Account;
import tapeline.AccountStatus;
import tapeline.Bucket;
import tapeline.CancelReason;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Execution;
import tapeline.ExecutionKind;
import tapeline.Instrument;
import tapeline.InstrumentStatus;
import tapeline.Liquidity;
import tapeline.OrderRest;
import tapeline.OrderState;
import tapeline.OrderStatus;
import tapeline.OrderType;
import tapeline.Posting;
import tapeline.RefuseReason;
import tapeline.SelfTradePrevention;
import tapeline.Settlement;
import tapeline.SettlementKind;
import tapeline.Side;
import tapeline.Tick;
import tapeline.TimeInForce;
import tapeline.ValidatedCommand;

/**
 * Avro bodies of the records that the pipeline reads, field after field in the schemas' order.
 *
 * <p>The generated classes can read themselves too, but only through Avro's resolving decoder, which follows the schema
 * for each field. Tapeline has readers of the same kind as these, so the comparison is one of pipelines and not of
 * codecs. The test of the examples holds them equal to Avro's own reader.
 */
public final class RecordReaders {
    private static final CommandKind[] COMMAND_KINDS = CommandKind.values();
    private static final Side[] SIDES = Side.values();
    private static final OrderType[] ORDER_TYPES = OrderType.values();
    private static final TimeInForce[] TIMES_IN_FORCE = TimeInForce.values();
    private static final SelfTradePrevention[] SELF_TRADE_PREVENTIONS = SelfTradePrevention.values();
    private static final ExecutionKind[] EXECUTION_KINDS = ExecutionKind.values();
    private static final OrderStatus[] ORDER_STATUSES = OrderStatus.values();
    private static final CancelReason[] CANCEL_REASONS = CancelReason.values();
    private static final RefuseReason[] REFUSE_REASONS = RefuseReason.values();
    private static final SettlementKind[] SETTLEMENT_KINDS = SettlementKind.values();
    private static final Liquidity[] LIQUIDITIES = Liquidity.values();
    private static final Bucket[] BUCKETS = Bucket.values();
    private static final InstrumentStatus[] INSTRUMENT_STATUSES = InstrumentStatus.values();
    private static final AccountStatus[] ACCOUNT_STATUSES = AccountStatus.values();

    private RecordReaders() {}

    /** A record of {@code orders}. */
    public static Command command(Decoder in) throws IOException {
        Command command = new Command();
        command.setAccount(in.readString());
        command.setClientOrderId(in.readString());
        command.setKind(symbol(in, COMMAND_KINDS));
        command.setInstrument(optionalText(in));
        command.setSide(optionalSymbol(in, SIDES));
        command.setOrderType(optionalSymbol(in, ORDER_TYPES));
        command.setTimeInForce(optionalSymbol(in, TIMES_IN_FORCE));
        command.setQuantity(optionalLong(in));
        command.setPrice(optionalLong(in));
        command.setStopPrice(optionalLong(in));
        command.setDisplayQuantity(optionalLong(in));
        command.setPostOnly(in.readBoolean());
        command.setExpiresAtMs(optionalLong(in));
        command.setSelfTradePrevention(optionalSymbol(in, SELF_TRADE_PREVENTIONS));
        command.setTargetClientOrderId(optionalText(in));
        command.setAsset(optionalText(in));
        command.setAmount(optionalLong(in));
        return command;
    }

    /** A record of {@code orders.validated}. */
    public static ValidatedCommand validated(Decoder in) throws IOException {
        ValidatedCommand command = new ValidatedCommand();
        command.setCommandId(in.readLong());
        command.setAccount(in.readString());
        command.setClientOrderId(in.readString());
        command.setKind(symbol(in, COMMAND_KINDS));
        command.setCommandedAtMs(in.readLong());
        command.setInstrument(optionalText(in));
        command.setTargetOrderId(optionalLong(in));
        command.setBaseAsset(optionalText(in));
        command.setQuoteAsset(optionalText(in));
        command.setSide(optionalSymbol(in, SIDES));
        command.setOrderType(optionalSymbol(in, ORDER_TYPES));
        command.setTimeInForce(optionalSymbol(in, TIMES_IN_FORCE));
        command.setQuantity(optionalLong(in));
        command.setPrice(optionalLong(in));
        command.setStopPrice(optionalLong(in));
        command.setDisplayQuantity(optionalLong(in));
        command.setPostOnly(in.readBoolean());
        command.setExpiresAtMs(optionalLong(in));
        command.setSelfTradePrevention(optionalSymbol(in, SELF_TRADE_PREVENTIONS));
        command.setMakerFeePpm(in.readLong());
        command.setTakerFeePpm(in.readLong());
        command.setReservedAsset(optionalText(in));
        command.setReservedAmount(in.readLong());
        command.setAmount(optionalLong(in));
        command.setAsset(optionalText(in));
        return command;
    }

    /** A record of {@code trades.executed}. */
    public static Execution execution(Decoder in) throws IOException {
        Execution execution = new Execution();
        execution.setKind(symbol(in, EXECUTION_KINDS));
        execution.setCommandId(in.readLong());
        execution.setCommandedAtMs(in.readLong());
        execution.setValidatedAtMs(in.readLong());
        execution.setInstrument(optionalText(in));
        execution.setOrder(isPresent(in) ? orderState(in) : null);
        execution.setMaker(isPresent(in) ? orderState(in) : null);
        execution.setTradeId(optionalLong(in));
        execution.setPrice(optionalLong(in));
        execution.setQuantity(optionalLong(in));
        execution.setKeptPlace(isPresent(in) ? Boolean.valueOf(in.readBoolean()) : null);
        execution.setCancelReason(optionalSymbol(in, CANCEL_REASONS));
        execution.setRefuseReason(optionalSymbol(in, REFUSE_REASONS));
        execution.setAccount(optionalText(in));
        execution.setClientOrderId(optionalText(in));
        execution.setTargetOrderId(optionalLong(in));
        execution.setAsset(optionalText(in));
        execution.setAmount(optionalLong(in));
        execution.setBidPrice(optionalLong(in));
        execution.setBidQuantity(optionalLong(in));
        execution.setAskPrice(optionalLong(in));
        execution.setAskQuantity(optionalLong(in));
        return execution;
    }

    /** An order within an execution, and in the executor's store. */
    public static OrderState orderState(Decoder in) throws IOException {
        OrderState order = new OrderState();
        order.setOrderId(in.readLong());
        order.setAccount(in.readString());
        order.setClientOrderId(in.readString());
        order.setInstrument(in.readString());
        order.setBaseAsset(in.readString());
        order.setQuoteAsset(in.readString());
        order.setSide(symbol(in, SIDES));
        order.setOrderType(symbol(in, ORDER_TYPES));
        order.setTimeInForce(symbol(in, TIMES_IN_FORCE));
        order.setPrice(in.readLong());
        order.setStopPrice(optionalLong(in));
        order.setQuantity(in.readLong());
        order.setFilled(in.readLong());
        order.setLeaves(in.readLong());
        order.setStatus(symbol(in, ORDER_STATUSES));
        order.setMakerFeePpm(in.readLong());
        order.setTakerFeePpm(in.readLong());
        order.setReservedBefore(in.readLong());
        order.setReservedAfter(in.readLong());
        return order;
    }

    /** A record of {@code trades.settled}. */
    public static Settlement settlement(Decoder in) throws IOException {
        Settlement settlement = new Settlement();
        settlement.setKind(symbol(in, SETTLEMENT_KINDS));
        settlement.setExecutionId(in.readLong());
        settlement.setCommandId(in.readLong());
        settlement.setAccount(in.readString());
        settlement.setInstrument(optionalText(in));
        settlement.setOrderId(optionalLong(in));
        settlement.setTradeId(optionalLong(in));
        settlement.setSide(optionalSymbol(in, SIDES));
        settlement.setLiquidity(optionalSymbol(in, LIQUIDITIES));
        settlement.setPrice(optionalLong(in));
        settlement.setQuantity(optionalLong(in));
        settlement.setNotional(optionalLong(in));
        settlement.setFee(optionalLong(in));
        settlement.setOrder(isPresent(in) ? orderRest(in) : null);
        settlement.setPostings(postings(in));
        settlement.setCommandedAtMs(in.readLong());
        settlement.setValidatedAtMs(in.readLong());
        settlement.setExecutedAtMs(in.readLong());
        return settlement;
    }

    /** A record of {@code reference.instruments}. */
    public static Instrument instrument(Decoder in) throws IOException {
        Instrument instrument = new Instrument();
        instrument.setSymbol(in.readString());
        instrument.setBaseAsset(in.readString());
        instrument.setQuoteAsset(in.readString());
        instrument.setTickSize(in.readLong());
        instrument.setLotSize(in.readLong());
        instrument.setMinQuantity(in.readLong());
        instrument.setMaxQuantity(in.readLong());
        instrument.setMinNotional(in.readLong());
        instrument.setMaxNotional(in.readLong());
        instrument.setReferencePrice(in.readLong());
        instrument.setCollarPpm(in.readLong());
        instrument.setMakerFeePpm(in.readLong());
        instrument.setTakerFeePpm(in.readLong());
        instrument.setStatus(symbol(in, INSTRUMENT_STATUSES));
        instrument.setSessionCloseMs(in.readLong());
        return instrument;
    }

    /** A record of {@code reference.accounts}. */
    public static Account account(Decoder in) throws IOException {
        Account account = new Account();
        account.setAccount(in.readString());
        account.setStatus(symbol(in, ACCOUNT_STATUSES));
        account.setMaxOpenOrders(in.readLong());
        return account;
    }

    /** A record of {@code clock}. */
    public static Tick tick(Decoder in) throws IOException {
        Tick tick = new Tick();
        tick.setSequence(in.readLong());
        return tick;
    }

    /** The symbol of an enum; {@code UNKNOWN}, the first of each, is never written. */
    public static <E extends Enum<E>> E symbol(Decoder in, E[] symbols) throws IOException {
        int index = in.readEnum();
        if (index < 1 || index >= symbols.length) {
            throw new AvroRuntimeException("an enum has a symbol that this version does not know: " + index);
        }
        return symbols[index];
    }

    /** A union of null and a long. */
    public static Long optionalLong(Decoder in) throws IOException {
        return isPresent(in) ? Long.valueOf(in.readLong()) : null;
    }

    private static String optionalText(Decoder in) throws IOException {
        return isPresent(in) ? in.readString() : null;
    }

    private static <E extends Enum<E>> E optionalSymbol(Decoder in, E[] symbols) throws IOException {
        return isPresent(in) ? symbol(in, symbols) : null;
    }

    private static boolean isPresent(Decoder in) throws IOException {
        int index = in.readIndex();
        if (index < 0 || index > 1) {
            throw new AvroRuntimeException("a union has no branch " + index);
        }
        return index == 1;
    }

    private static OrderRest orderRest(Decoder in) throws IOException {
        OrderRest rest = new OrderRest();
        rest.setPrice(in.readLong());
        rest.setQuantity(in.readLong());
        rest.setLeaves(in.readLong());
        rest.setReserved(in.readLong());
        rest.setDone(in.readBoolean());
        return rest;
    }

    private static List<Posting> postings(Decoder in) throws IOException {
        List<Posting> postings = new ArrayList<>(6);
        for (long count = in.readArrayStart(); count > 0; count = in.arrayNext()) {
            for (long i = 0; i < count; i++) {
                Posting posting = new Posting();
                posting.setAccount(in.readString());
                posting.setAsset(in.readString());
                posting.setBucket(symbol(in, BUCKETS));
                posting.setAmount(in.readLong());
                postings.add(posting);
            }
        }
        return postings;
    }
}
