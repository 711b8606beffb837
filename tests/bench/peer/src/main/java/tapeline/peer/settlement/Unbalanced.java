package tapeline.peer.settlement;

/** An execution that can't be settled: it would spend more than was reserved, or its amounts are out of range. */
final class Unbalanced extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Unbalanced(String why) {
        super(why);
    }
}
