package tapeline.peer.risk;

import org.apache.kafka.common.serialization.Serde;
import tapeline.OrderRest;
import tapeline.OrderType;
import tapeline.Side;
import tapeline.peer.wire.AvroSerde;
import tapeline.peer.wire.RecordReaders;

/**
 * An order that the validator has accepted and not yet seen end, as far as settlements have told.
 *
 * @param instrument its book
 * @param side buy or sell
 * @param orderType as placed
 * @param price worst price
 * @param quantity total quantity
 * @param leaves still open
 * @param reserved still reserved
 * @param reserveAsset asset of {@code reserved}
 * @param takerFeePpm taker fee fixed at acceptance
 */
record OpenOrder(
        String instrument,
        Side side,
        OrderType orderType,
        long price,
        long quantity,
        long leaves,
        long reserved,
        String reserveAsset,
        long takerFeePpm) {
    private static final Side[] SIDES = Side.values();
    private static final OrderType[] ORDER_TYPES = OrderType.values();

    static final Serde<OpenOrder> SERDE = AvroSerde.bare(
            (order, out) -> {
                out.writeString(order.instrument);
                out.writeEnum(order.side.ordinal());
                out.writeEnum(order.orderType.ordinal());
                out.writeLong(order.price);
                out.writeLong(order.quantity);
                out.writeLong(order.leaves);
                out.writeLong(order.reserved);
                out.writeString(order.reserveAsset);
                out.writeLong(order.takerFeePpm);
            },
            in -> new OpenOrder(
                    in.readString(),
                    RecordReaders.symbol(in, SIDES),
                    RecordReaders.symbol(in, ORDER_TYPES),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readLong(),
                    in.readString(),
                    in.readLong()));

    /** The same order with what a settlement says is left of it. */
    OpenOrder withRest(OrderRest rest) {
        return new OpenOrder(
                instrument,
                side,
                orderType,
                rest.getPrice(),
                rest.getQuantity(),
                rest.getLeaves(),
                rest.getReserved(),
                reserveAsset,
                takerFeePpm);
    }
}
