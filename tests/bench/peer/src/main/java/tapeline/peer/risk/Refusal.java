package tapeline.peer.risk;

import tapeline.RejectReason;

/** A rung of the ladder says no. It is the ladder's way out, not a failure, so it carries no stack trace. */
final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final RejectReason reason;

    Refusal(RejectReason reason, String text) {
        super(text, null, false, false);
        this.reason = reason;
    }

    RejectReason reason() {
        return reason;
    }
}
