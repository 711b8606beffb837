package tapeline.peer.risk;

import static tapeline.peer.Money.ONE;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Map;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.state.KeyValueStore;
import tapeline.Account;
import tapeline.AccountStatus;
import tapeline.Bucket;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Instrument;
import tapeline.InstrumentStatus;
import tapeline.OrderRest;
import tapeline.OrderType;
import tapeline.Posting;
import tapeline.Settlement;
import tapeline.SettlementKind;
import tapeline.Side;
import tapeline.TimeInForce;
import tapeline.peer.MemoryStores;
import tapeline.peer.wire.AvroSerde;
import tapeline.peer.wire.RecordReaders;

/** The world of the header of {@code ladder.txt}; ann and full have one open order, {@code used}: 1 at 100. */
final class RiskWorld {
    static final long NOW_MS = 1_000;
    static final long USED_ORDER = 7;

    final RiskState state;
    final Risk risk;

    RiskWorld() {
        MemoryStores stores = new MemoryStores();
        KeyValueStore<String, Instrument> instruments = stores.make(
                RiskState.INSTRUMENTS, Serdes.String(), AvroSerde.framed(1, RecordReaders::instrument));
        state = new RiskState(
                instruments,
                stores.make(RiskState.ACCOUNTS, Serdes.String(), AvroSerde.framed(2, RecordReaders::account)),
                stores.make(RiskState.FUNDS, Serdes.String(), Funds.SERDE),
                stores.make(RiskState.OPEN_ORDERS, Serdes.Long(), OpenOrder.SERDE),
                stores.make(RiskState.VERDICTS, Serdes.String(), FirstVerdict.SERDE));
        risk = new Risk(state);
        instruments.put("AAPL-USD", instrument("AAPL-USD", InstrumentStatus.OPEN, ONE));
        instruments.put("HALT-USD", instrument("HALT-USD", InstrumentStatus.HALTED, ONE));
        instruments.put("BIG-USD", instrument("BIG-USD", InstrumentStatus.OPEN, 10 * ONE));
        account("ann", AccountStatus.ACTIVE, 5, units("10100.1"));
        account("bob", AccountStatus.ACTIVE, 5, 10_000 * ONE);
        account("sus", AccountStatus.SUSPENDED, 5, 10_000 * ONE);
        account("full", AccountStatus.ACTIVE, 1, units("10100.1"));
        deposit("bob", "AAPL", 10 * ONE);
        for (String account : new String[] {"ann", "full"}) {
            Command used = command(Map.of("account", account, "id", "used", "quantity", "1", "price", "100"));
            if (decide(USED_ORDER, used).accepted() == null) {
                throw new IllegalStateException("refused: " + used);
            }
        }
    }

    Risk.Decision decide(long commandId, Command command) {
        return risk.decide(new CommandAt(commandId, NOW_MS, true), command);
    }

    Funds.Balance balance(String account, String asset) {
        return state.fundsOf(account).balance(asset);
    }

    void deposit(String account, String asset, long amount) {
        Settlement settlement = settlement(account);
        settlement.getPostings().add(posting(account, asset, Bucket.AVAILABLE, amount));
        risk.settle(settlement);
    }

    static Settlement settlement(String account) {
        Settlement settlement = new Settlement();
        settlement.setKind(SettlementKind.DEPOSIT);
        settlement.setAccount(account);
        settlement.setPostings(new ArrayList<>());
        return settlement;
    }

    static Posting posting(String account, String asset, Bucket bucket, long amount) {
        return new Posting(account, asset, bucket, amount);
    }

    static OrderRest ended() {
        return new OrderRest(100 * ONE, ONE, ONE, 0L, true);
    }

    private void account(String name, AccountStatus status, long maxOpenOrders, long usd) {
        state.accounts().put(name, new Account(name, status, maxOpenOrders));
        deposit(name, "USD", usd);
    }

    private static Instrument instrument(String symbol, InstrumentStatus status, long minQuantity) {
        Instrument instrument = new Instrument();
        instrument.setSymbol(symbol);
        instrument.setBaseAsset(symbol.substring(0, symbol.indexOf('-')));
        instrument.setQuoteAsset("USD");
        instrument.setTickSize(ONE / 100);
        instrument.setLotSize(ONE);
        instrument.setMinQuantity(minQuantity);
        instrument.setMaxQuantity(1_000 * ONE);
        instrument.setMinNotional(10 * ONE);
        instrument.setMaxNotional(100_000 * ONE);
        instrument.setReferencePrice(100 * ONE);
        instrument.setCollarPpm(100_000);
        instrument.setMakerFeePpm(500);
        instrument.setTakerFeePpm(1_000);
        instrument.setStatus(status);
        return instrument;
    }

    /** A command of the table: a row's words over the default command. */
    static Command command(Map<String, String> row) {
        Command command = new Command();
        command.setAccount(row.getOrDefault("account", "ann"));
        command.setClientOrderId(row.getOrDefault("id", "new"));
        command.setKind(CommandKind.valueOf(row.getOrDefault("kind", "PLACE")));
        command.setInstrument(text(row, "instrument", "AAPL-USD"));
        String side = text(row, "side", "BUY");
        command.setSide(side == null ? null : Side.valueOf(side));
        String type = text(row, "type", "LIMIT");
        command.setOrderType(type == null ? null : OrderType.valueOf(type));
        String timeInForce = text(row, "tif", "-");
        command.setTimeInForce(timeInForce == null ? null : TimeInForce.valueOf(timeInForce));
        command.setQuantity(number(row, "quantity", "10"));
        command.setPrice(number(row, "price", "100"));
        command.setStopPrice(number(row, "stop", "-"));
        command.setDisplayQuantity(number(row, "display", "-"));
        command.setPostOnly("yes".equals(row.get("post_only")));
        command.setExpiresAtMs(row.containsKey("expires") ? Long.valueOf(row.get("expires")) : null);
        command.setTargetClientOrderId(text(row, "target", "-"));
        command.setAsset(text(row, "asset", "-"));
        command.setAmount(number(row, "amount", "-"));
        return command;
    }

    private static String text(Map<String, String> row, String key, String otherwise) {
        String value = row.getOrDefault(key, otherwise);
        return value.equals("-") ? null : value;
    }

    private static Long number(Map<String, String> row, String key, String otherwise) {
        String value = text(row, key, otherwise);
        return value == null ? null : units(value);
    }

    static long units(String decimal) {
        return new BigDecimal(decimal).movePointRight(8).longValueExact();
    }
}
