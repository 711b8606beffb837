CREATE TABLE IF NOT EXISTS trades_raw
(
    kafka_partition Int32 COMMENT 'Partition of the TRADED record in trades.executed.',
    kafka_offset Int64 COMMENT 'Offset of the record in its partition.',
    trade_id Int64 COMMENT 'The trade: the executor''s partition times 2^44 plus its trade sequence.',
    traded_at DateTime64(3, 'UTC') COMMENT 'The trade''s own time: append time of the record that the executor acted on.',
    commanded_at DateTime64(3, 'UTC') COMMENT 'Append time of the taker''s command in orders.',
    executed_at DateTime64(3, 'UTC') COMMENT 'Append time of the record in trades.executed.',
    instrument LowCardinality(String) COMMENT 'The book.',
    base_asset LowCardinality(String) COMMENT 'What is bought and sold.',
    quote_asset LowCardinality(String) COMMENT 'What it is paid with.',
    price Decimal(18, 8) COMMENT 'The maker''s price.',
    quantity Decimal(18, 8) COMMENT 'How much of the base asset.',
    notional Decimal(18, 8) COMMENT 'Price times quantity in the quote asset, rounded down.',
    command_id Int64 COMMENT 'The command that caused it.',
    taker_side LowCardinality(String) COMMENT 'Side of the incoming order, BUY or SELL.',
    taker_order_id Int64 COMMENT 'The incoming order.',
    taker_account LowCardinality(String) COMMENT 'Its owner.',
    taker_client_order_id String COMMENT 'Its owner''s own identity of it.',
    taker_filled Decimal(18, 8) COMMENT 'Filled so far, this trade included.',
    taker_leaves Decimal(18, 8) COMMENT 'Still open after this trade.',
    taker_status LowCardinality(String) COMMENT 'Where it stands after this trade.',
    maker_order_id Int64 COMMENT 'The resting order.',
    maker_account LowCardinality(String) COMMENT 'Its owner.',
    maker_client_order_id String COMMENT 'Its owner''s own identity of it.',
    maker_filled Decimal(18, 8) COMMENT 'Filled so far, this trade included.',
    maker_leaves Decimal(18, 8) COMMENT 'Still open after this trade.',
    maker_status LowCardinality(String) COMMENT 'Where it stands after this trade.',
    INDEX by_time traded_at TYPE minmax,
    INDEX by_taker_client_order_id taker_client_order_id TYPE bloom_filter(0.01),
    INDEX by_maker_client_order_id maker_client_order_id TYPE bloom_filter(0.01)
)
ENGINE = ReplacingMergeTree
PARTITION BY kafka_partition
ORDER BY (kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'TRADED records of trades.executed, one row each, repeated ones until they are merged: read trades instead.'
