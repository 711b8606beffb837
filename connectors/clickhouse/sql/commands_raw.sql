CREATE TABLE IF NOT EXISTS commands_raw
(
    kafka_partition Int32 COMMENT 'Partition of the record in orders.',
    kafka_offset Int64 COMMENT 'Offset of the record in its partition.',
    command_id Int64 COMMENT 'Identity of the command: kafka_partition times 2^44 plus kafka_offset. For PLACE the order''s identity too.',
    commanded_at DateTime64(3, 'UTC') COMMENT 'Append time of the record in orders.',
    account LowCardinality(String) COMMENT 'Account that commands.',
    client_order_id String COMMENT 'The client''s own identity of the command.',
    kind LowCardinality(String) COMMENT 'PLACE, AMEND, CANCEL, CANCEL_ALL, DEPOSIT, WITHDRAW.',
    instrument LowCardinality(String) COMMENT 'PLACE, CANCEL_ALL: the instrument; else empty.',
    side LowCardinality(String) COMMENT 'PLACE: BUY or SELL; else empty.',
    order_type LowCardinality(String) COMMENT 'PLACE: LIMIT, MARKET, STOP, STOP_LIMIT; else empty.',
    time_in_force LowCardinality(String) COMMENT 'PLACE: GTC, DAY, GTD, IOC, FOK; empty if the client left it out.',
    quantity Nullable(Decimal(18, 8)) COMMENT 'PLACE: total quantity. AMEND: new total quantity.',
    price Nullable(Decimal(18, 8)) COMMENT 'PLACE of LIMIT and STOP_LIMIT: limit price. AMEND: new limit price.',
    stop_price Nullable(Decimal(18, 8)) COMMENT 'PLACE of STOP and STOP_LIMIT: last trade price that wakes it.',
    display_quantity Nullable(Decimal(18, 8)) COMMENT 'PLACE of an iceberg: how much shows at most.',
    post_only Bool COMMENT 'PLACE: cancel it rather than take liquidity on entry.',
    expires_at Nullable(DateTime64(3, 'UTC')) COMMENT 'PLACE with GTD: when it ends.',
    self_trade_prevention LowCardinality(String) COMMENT 'PLACE: what to do on meeting an own order; empty if left out.',
    target_client_order_id String COMMENT 'AMEND, CANCEL: client_order_id of the order that is meant; else empty.',
    asset LowCardinality(String) COMMENT 'DEPOSIT, WITHDRAW: asset that moves; else empty.',
    amount Nullable(Decimal(18, 8)) COMMENT 'DEPOSIT, WITHDRAW: how much.',
    INDEX by_time commanded_at TYPE minmax
)
ENGINE = ReplacingMergeTree
PARTITION BY kafka_partition
ORDER BY (kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Records of orders, one row each, repeated ones until they are merged: read commands instead.'
