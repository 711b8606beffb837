package tapeline.peer.risk;

/**
 * Identity and time of the command at hand.
 *
 * @param commandId of its position in {@code orders}
 * @param timeMs the broker's append time
 * @param isInOwnPartition whether it stands in the partition that its account belongs to
 */
record CommandAt(long commandId, long timeMs, boolean isInOwnPartition) {}
