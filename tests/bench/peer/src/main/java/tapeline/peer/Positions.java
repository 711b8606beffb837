package tapeline.peer;

/** Identities that are made of positions in the log, so that a replay gives the same ones. */
public final class Positions {
    private static final int SEQUENCE_BITS = 44;

    private Positions() {}

    /** The identity of a record, or of the {@code sequence}-th thing that a partition made. */
    public static long identity(int partition, long sequence) {
        return ((long) partition << SEQUENCE_BITS) | sequence;
    }
}
