CREATE TABLE IF NOT EXISTS executions_raw
(
    kafka_partition Int32 COMMENT 'Partition of the record in trades.executed.',
    kafka_offset Int64 COMMENT 'Offset of the record in its partition.',
    execution_id Int64 COMMENT 'kafka_partition times 2^44 plus kafka_offset, as settlements name it.',
    kind LowCardinality(String) COMMENT 'ACCEPTED, TRADED, AMENDED, TRIGGERED, CANCELLED, EXPIRED, REFUSED, QUOTED, TRANSFERRED.',
    command_id Int64 COMMENT 'The command that caused it; for EXPIRED the order''s own.',
    commanded_at DateTime64(3, 'UTC') COMMENT 'Append time of that command in orders (for EXPIRED: of the tick).',
    validated_at DateTime64(3, 'UTC') COMMENT 'Append time of the record that the executor acted on: the event''s own time.',
    executed_at DateTime64(3, 'UTC') COMMENT 'Append time of this record in trades.executed.',
    instrument LowCardinality(String) COMMENT 'The book; empty for TRANSFERRED.',
    account LowCardinality(String) COMMENT 'Owner of the order (TRADED: the taker''s); REFUSED, TRANSFERRED: who commanded; empty for QUOTED.',
    client_order_id String COMMENT 'The client''s own identity of the order; REFUSED, TRANSFERRED: of the command; empty for QUOTED.',
    order_id Nullable(Int64) COMMENT 'The order (TRADED: the taker''s).',
    base_asset LowCardinality(String) COMMENT 'What the order buys or sells; empty where there is no order.',
    quote_asset LowCardinality(String) COMMENT 'What it is paid with; empty where there is no order.',
    side LowCardinality(String) COMMENT 'BUY or SELL; empty where there is no order.',
    order_type LowCardinality(String) COMMENT 'As placed; empty where there is no order.',
    time_in_force LowCardinality(String) COMMENT 'How long it lives; empty where there is no order.',
    order_price Nullable(Decimal(18, 8)) COMMENT 'Worst price the order may trade at.',
    order_stop_price Nullable(Decimal(18, 8)) COMMENT 'Last trade price that wakes it.',
    order_quantity Nullable(Decimal(18, 8)) COMMENT 'Its total quantity, filled part included.',
    order_filled Nullable(Decimal(18, 8)) COMMENT 'Filled so far, this event included.',
    order_leaves Nullable(Decimal(18, 8)) COMMENT 'Still open; for an ended order what was given up.',
    order_status LowCardinality(String) COMMENT 'OPEN, WAITING, PARTLY_FILLED, FILLED, CANCELLED, EXPIRED; empty where there is no order.',
    order_maker_fee_ppm Nullable(Int64) COMMENT 'Maker fee, parts per million of the notional.',
    order_taker_fee_ppm Nullable(Int64) COMMENT 'Taker fee, parts per million of the notional.',
    order_reserved_before Nullable(Decimal(18, 8)) COMMENT 'Reserved for the order before the event.',
    order_reserved_after Nullable(Decimal(18, 8)) COMMENT 'Reserved for the order after the event.',
    maker_order_id Nullable(Int64) COMMENT 'TRADED: the resting order; its other fields are in trades.',
    trade_id Nullable(Int64) COMMENT 'TRADED: the trade.',
    price Nullable(Decimal(18, 8)) COMMENT 'TRADED: the maker''s price.',
    quantity Nullable(Decimal(18, 8)) COMMENT 'TRADED: how much.',
    kept_place Nullable(Bool) COMMENT 'AMENDED: whether the order kept its place in the queue.',
    reason LowCardinality(String) COMMENT 'CANCELLED, REFUSED: why; else empty.',
    target_order_id Nullable(Int64) COMMENT 'REFUSED: the order that was meant, if one was.',
    asset LowCardinality(String) COMMENT 'REFUSED: asset of what is given back. TRANSFERRED: asset that moves. Else empty.',
    amount Nullable(Decimal(18, 8)) COMMENT 'REFUSED: what is given back. TRANSFERRED: positive in, negative out.',
    bid_price Nullable(Decimal(18, 8)) COMMENT 'QUOTED: best bid, NULL if there is none.',
    bid_quantity Nullable(Decimal(18, 8)) COMMENT 'QUOTED: displayed quantity at the best bid.',
    ask_price Nullable(Decimal(18, 8)) COMMENT 'QUOTED: best ask, NULL if there is none.',
    ask_quantity Nullable(Decimal(18, 8)) COMMENT 'QUOTED: displayed quantity at the best ask.',
    INDEX by_time validated_at TYPE minmax
)
ENGINE = ReplacingMergeTree
PARTITION BY kafka_partition
ORDER BY (kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Records of trades.executed, one row each, repeated ones until they are merged: read executions instead.'
