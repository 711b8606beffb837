package tapeline.peer;

import static tapeline.peer.Money.ONE;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Instrument;
import tapeline.InstrumentStatus;
import tapeline.OrderType;
import tapeline.Side;
import tapeline.TimeInForce;

/**
 * An hour of AAPL at NASDAQ as commands, as Tapeline's {@code replay} makes them of the file (see
 * {@code connectors/replay/src/aapl.rs}): who the made-up accounts are, how they are funded, and the instrument.
 */
final class AaplHour {
    static final String SYMBOL = "AAPL-USD";
    private static final int MAKERS = 100;
    private static final int TAKERS = 10;
    private static final long PRICE_UNITS = ONE / 10_000;
    private static final long TAKER_FEE_PPM = 250;
    /** As many as the account places, but at least this. */
    private static final long LEAST_OPEN_ORDERS = 100;

    /** A command and the nanosecond of the day at which it happened. */
    record Timed(long atNs, Command command) {}

    /** What an account's orders cost together. */
    static final class Needs {
        long orders;
        long base;
        double quote;

        /** Somewhat more than needed: how much more makes no difference to the fills. */
        long quoteUnits() {
            return Math.min((long) (quote * 1.001) + 1_000 * ONE, Money.MAX_UNITS);
        }
    }

    final List<Timed> commands = new ArrayList<>();
    /** By account. */
    final Map<String, Needs> accounts = new TreeMap<>();
    /** By order id: the account, the row that placed it, and its total quantity now. */
    private final Map<Long, Placed> placed = new HashMap<>();
    private int crossers;
    private long referencePrice;
    private long widest;

    private static final class Placed {
        final String account;
        final long seq;
        long total;

        Placed(String account, long seq, long total) {
            this.account = account;
            this.seq = seq;
            this.total = total;
        }
    }

    AaplHour(Path orders) throws IOException {
        List<String> rows = Files.readAllLines(orders);
        for (String row : rows.subList(1, rows.size())) {
            String[] cells = row.split(",", -1);
            if (referencePrice == 0 && !cells[7].equals("seed")) {
                referencePrice = Long.parseLong(cells[5]) * PRICE_UNITS;
            }
        }
        for (String row : rows.subList(1, rows.size())) {
            take(row.split(",", -1));
        }
    }

    /** The columns: seq, ts_ns, action, order_id, side, price, qty, tag. */
    private void take(String[] cells) {
        long seq = Long.parseLong(cells[0]);
        String action = cells[2];
        long orderId = Long.parseLong(cells[3]);
        long price = Long.parseLong(cells[5]) * PRICE_UNITS;
        long quantity = Long.parseLong(cells[6]) * ONE;
        widest = Math.max(widest, Math.abs(price - referencePrice));
        Command command;
        if (action.equals("NEW") || action.equals("IOC")) {
            boolean rests = action.equals("NEW");
            Placed order = new Placed(owner(orderId, rests, cells[7]), seq, quantity);
            placed.put(orderId, order);
            command = PipelineDriver.command(order.account, orderId + "-" + seq, CommandKind.PLACE);
            command.setInstrument(SYMBOL);
            command.setSide(cells[4].equals("B") ? Side.BUY : Side.SELL);
            command.setOrderType(OrderType.LIMIT);
            command.setTimeInForce(rests ? TimeInForce.GTC : TimeInForce.IOC);
            command.setQuantity(quantity);
            command.setPrice(price);
            fund(command);
        } else {
            Placed order = placed.get(orderId);
            boolean reduces = action.equals("REDUCE");
            command = PipelineDriver.command(
                    order.account, orderId + "-" + seq, reduces ? CommandKind.AMEND : CommandKind.CANCEL);
            command.setTargetClientOrderId(orderId + "-" + order.seq);
            if (reduces) {
                order.total -= quantity;
                command.setQuantity(order.total);
            }
        }
        commands.add(new Timed(Long.parseLong(cells[1]), command));
    }

    private String owner(long orderId, boolean rests, String tag) {
        if (!rests) {
            return String.format("taker-%05d", spread(orderId, TAKERS));
        }
        if (tag.equals("exec+rest")) {
            crossers++;
            return String.format("cross-%05d", crossers);
        }
        return String.format("acc-%05d", spread(orderId, MAKERS));
    }

    /** The finalizer of SplitMix64, from 1 to {@code accounts}. */
    private static long spread(long orderId, int accounts) {
        long hash = (orderId ^ (orderId >>> 30)) * 0xbf58476d1ce4e5b9L;
        hash = (hash ^ (hash >>> 27)) * 0x94d049bb133111ebL;
        return Long.remainderUnsigned(hash ^ (hash >>> 31), accounts) + 1;
    }

    private void fund(Command order) {
        Needs needs = accounts.computeIfAbsent(order.getAccount(), account -> new Needs());
        needs.orders++;
        if (order.getSide() == Side.SELL) {
            needs.base += order.getQuantity();
        } else {
            double cost = (double) order.getPrice() * order.getQuantity() / ONE;
            needs.quote += cost * (1 + TAKER_FEE_PPM / 1e6);
        }
    }

    /** Lists the instrument, opens the accounts and brings their funds in. */
    void prepare(PipelineDriver pipeline) {
        pipeline.list(instrument());
        accounts.forEach((account, needs) -> {
            pipeline.open(account, Math.max(needs.orders, LEAST_OPEN_ORDERS));
            if (needs.base > 0) {
                pipeline.deposit(account, "AAPL", needs.base);
            }
            if (needs.quote > 0) {
                pipeline.deposit(account, "USD", needs.quoteUnits());
            }
        });
    }

    private Instrument instrument() {
        long collarPercent = widest * 100 / referencePrice + 5;
        return new Instrument(
                SYMBOL, "AAPL", "USD", ONE / 100, ONE, ONE, 100_000 * ONE, ONE / 100, 100_000_000 * ONE, referencePrice,
                collarPercent * 10_000, 100L, TAKER_FEE_PPM, InstrumentStatus.OPEN, 20L * 3_600_000);
    }
}
