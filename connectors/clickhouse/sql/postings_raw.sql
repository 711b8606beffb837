CREATE TABLE IF NOT EXISTS postings_raw
(
    kafka_partition Int32 COMMENT 'Partition of the record in trades.settled.',
    kafka_offset Int64 COMMENT 'Offset of the record in its partition.',
    line UInt16 COMMENT 'Number of the posting in its record, from 0.',
    account LowCardinality(String) COMMENT 'Account that is posted to, or @fees, @clearing, @outside.',
    asset LowCardinality(String) COMMENT 'Asset.',
    bucket LowCardinality(String) COMMENT 'Which part of the balance: AVAILABLE or RESERVED.',
    amount Decimal(18, 8) COMMENT 'Signed change. The postings of a record sum to zero for each asset.',
    kind LowCardinality(String) COMMENT 'What was settled: TRADE, AMENDED, CANCELLED, EXPIRED, REFUSED, DEPOSIT, WITHDRAWAL.',
    execution_id Int64 COMMENT 'The record in trades.executed that was settled.',
    command_id Int64 COMMENT 'The command that caused it.',
    instrument LowCardinality(String) COMMENT 'The instrument; empty for DEPOSIT and WITHDRAWAL.',
    order_id Nullable(Int64) COMMENT 'The order, where one is meant.',
    trade_id Nullable(Int64) COMMENT 'TRADE: the trade.',
    side LowCardinality(String) COMMENT 'TRADE: side of the settled account, BUY or SELL; else empty.',
    liquidity LowCardinality(String) COMMENT 'TRADE: role of the settled account, MAKER or TAKER; else empty.',
    settled_at DateTime64(3, 'UTC') COMMENT 'Append time of the record in trades.settled.',
    INDEX by_time settled_at TYPE minmax
)
ENGINE = ReplacingMergeTree
PARTITION BY kafka_partition
ORDER BY (kafka_partition, kafka_offset, line)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Postings of trades.settled, one row for each line, repeated ones until they are merged: read postings instead.'
