package tapeline.peer.risk;

import org.apache.kafka.common.serialization.Serde;
import tapeline.RejectReason;
import tapeline.peer.wire.AvroSerde;

/**
 * The verdict that a client order id got when it was first used.
 *
 * @param commandId the command that used it
 * @param rejected why it was refused; {@code UNKNOWN} if it was accepted
 * @param atMs the command's time
 */
record FirstVerdict(long commandId, RejectReason rejected, long atMs) {
    private static final RejectReason[] REASONS = RejectReason.values();

    static final Serde<FirstVerdict> SERDE = AvroSerde.bare(
            (verdict, out) -> {
                out.writeLong(verdict.commandId);
                out.writeEnum(verdict.rejected.ordinal());
                out.writeLong(verdict.atMs);
            },
            in -> new FirstVerdict(in.readLong(), REASONS[in.readEnum()], in.readLong()));

    boolean isAccepted() {
        return rejected == RejectReason.UNKNOWN;
    }
}
