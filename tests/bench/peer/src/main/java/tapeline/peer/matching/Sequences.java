package tapeline.peer.matching;

import org.apache.kafka.common.serialization.Serde;
import tapeline.peer.wire.AvroSerde;

/**
 * The counters of one executor partition.
 *
 * @param trade sequence of the next trade; with the partition it is the trade's identity
 * @param entry sequence of the next order to come in; elected stops run in this order
 * @param turn sequence of the next order to join a queue
 */
record Sequences(long trade, long entry, long turn) {
    static final Sequences FIRST = new Sequences(1, 1, 1);

    static final Serde<Sequences> SERDE = AvroSerde.bare(
            (sequences, out) -> {
                out.writeLong(sequences.trade);
                out.writeLong(sequences.entry);
                out.writeLong(sequences.turn);
            },
            in -> new Sequences(in.readLong(), in.readLong(), in.readLong()));
}
