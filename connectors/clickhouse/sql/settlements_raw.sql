CREATE TABLE IF NOT EXISTS settlements_raw
(
    kafka_partition Int32 COMMENT 'Partition of the record in trades.settled.',
    kafka_offset Int64 COMMENT 'Offset of the record in its partition.',
    kind LowCardinality(String) COMMENT 'TRADE (one side of it), AMENDED, CANCELLED, EXPIRED, REFUSED, DEPOSIT, WITHDRAWAL.',
    execution_id Int64 COMMENT 'The record in trades.executed that was settled.',
    command_id Int64 COMMENT 'The command that caused it.',
    account LowCardinality(String) COMMENT 'Account whose side is settled.',
    instrument LowCardinality(String) COMMENT 'The instrument; empty for DEPOSIT and WITHDRAWAL.',
    order_id Nullable(Int64) COMMENT 'The order, where one is meant.',
    trade_id Nullable(Int64) COMMENT 'TRADE: the trade.',
    side LowCardinality(String) COMMENT 'TRADE: the account''s side, BUY or SELL; else empty.',
    liquidity LowCardinality(String) COMMENT 'TRADE: the account''s role, MAKER or TAKER; else empty.',
    price Nullable(Decimal(18, 8)) COMMENT 'TRADE: price.',
    quantity Nullable(Decimal(18, 8)) COMMENT 'TRADE: quantity of the base asset.',
    notional Decimal(18, 8) COMMENT 'TRADE: price times quantity in the quote asset, rounded down; else 0.',
    fee Decimal(18, 8) COMMENT 'TRADE: fee in the quote asset; else 0.',
    order_price Nullable(Decimal(18, 8)) COMMENT 'Worst price of the order after the event.',
    order_quantity Nullable(Decimal(18, 8)) COMMENT 'Total quantity of the order after the event.',
    order_leaves Nullable(Decimal(18, 8)) COMMENT 'Still open of the order after the event.',
    order_reserved Nullable(Decimal(18, 8)) COMMENT 'Still reserved for the order after the event.',
    order_done Nullable(Bool) COMMENT 'Whether the order has ended.',
    postings UInt16 COMMENT 'How many postings the record has.',
    commanded_at DateTime64(3, 'UTC') COMMENT 'Append time of the command in orders (for EXPIRED: of the tick).',
    validated_at DateTime64(3, 'UTC') COMMENT 'Append time of the record that the executor acted on.',
    executed_at DateTime64(3, 'UTC') COMMENT 'Append time of the record in trades.executed.',
    settled_at DateTime64(3, 'UTC') COMMENT 'Append time of this record in trades.settled.',
    INDEX by_time settled_at TYPE minmax
)
ENGINE = ReplacingMergeTree
PARTITION BY kafka_partition
ORDER BY (kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Records of trades.settled, one row each, repeated ones until they are merged: read settlements instead.'
