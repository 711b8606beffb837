CREATE TABLE IF NOT EXISTS verdicts_raw
(
    topic LowCardinality(String) COMMENT 'Source topic: orders.validated or orders.rejected.',
    kafka_partition Int32 COMMENT 'Partition of the record in the source topic.',
    kafka_offset Int64 COMMENT 'Offset of the record in its partition.',
    accepted Bool COMMENT 'Whether the command was accepted.',
    command_id Int64 COMMENT 'The command. For PLACE the order''s identity too.',
    commanded_at DateTime64(3, 'UTC') COMMENT 'Append time of the command in orders.',
    decided_at DateTime64(3, 'UTC') COMMENT 'Append time of this record in the source topic.',
    account LowCardinality(String) COMMENT 'Account that commands.',
    client_order_id String COMMENT 'The client''s own identity of the command.',
    kind LowCardinality(String) COMMENT 'PLACE, AMEND, CANCEL, CANCEL_ALL, DEPOSIT, WITHDRAW.',
    instrument LowCardinality(String) COMMENT 'The instrument, where the command names one; else empty.',
    reason LowCardinality(String) COMMENT 'Rejected: reason code; accepted: empty.',
    text String COMMENT 'Rejected: the reason as a sentence; accepted: empty.',
    original_command_id Nullable(Int64) COMMENT 'Rejected as DUPLICATE_CLIENT_ORDER_ID: the command that first used the client_order_id.',
    original_accepted Nullable(Bool) COMMENT 'Rejected as DUPLICATE_CLIENT_ORDER_ID: whether that first command was accepted.',
    original_reason LowCardinality(String) COMMENT 'Rejected as DUPLICATE_CLIENT_ORDER_ID: why that first command was refused, if it was; else empty.',
    target_order_id Nullable(Int64) COMMENT 'Accepted AMEND, CANCEL: the order that is meant.',
    base_asset LowCardinality(String) COMMENT 'Accepted PLACE: what is bought or sold; else empty.',
    quote_asset LowCardinality(String) COMMENT 'Accepted PLACE: what it is paid with; else empty.',
    side LowCardinality(String) COMMENT 'Accepted PLACE: BUY or SELL; else empty.',
    order_type LowCardinality(String) COMMENT 'Accepted PLACE: LIMIT, MARKET, STOP, STOP_LIMIT; else empty.',
    time_in_force LowCardinality(String) COMMENT 'Accepted PLACE: GTC, DAY, GTD, IOC, FOK; else empty.',
    quantity Nullable(Decimal(18, 8)) COMMENT 'Accepted PLACE: total quantity. AMEND: new total quantity.',
    price Nullable(Decimal(18, 8)) COMMENT 'Accepted PLACE: worst price it may trade at. AMEND: new limit.',
    stop_price Nullable(Decimal(18, 8)) COMMENT 'Accepted PLACE of STOP and STOP_LIMIT: last trade price that wakes it.',
    display_quantity Nullable(Decimal(18, 8)) COMMENT 'Accepted PLACE of an iceberg: how much shows at most.',
    post_only Bool COMMENT 'Accepted PLACE: cancel it rather than take liquidity on entry.',
    expires_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Accepted PLACE with DAY or GTD: when it ends.',
    self_trade_prevention LowCardinality(String) COMMENT 'Accepted PLACE: what to do on meeting an own order; else empty.',
    maker_fee_ppm Int64 COMMENT 'Accepted PLACE: maker fee, parts per million of the notional; else 0.',
    taker_fee_ppm Int64 COMMENT 'Accepted PLACE: taker fee, parts per million of the notional; else 0.',
    reserved_asset LowCardinality(String) COMMENT 'Accepted: asset that was reserved; empty if none.',
    reserved_amount Decimal(18, 8) COMMENT 'Accepted: how much was reserved with this command; else 0.',
    asset LowCardinality(String) COMMENT 'Accepted DEPOSIT, WITHDRAW: asset that moves; else empty.',
    amount Nullable(Decimal(18, 8)) COMMENT 'Accepted DEPOSIT, WITHDRAW: how much.',
    INDEX by_time decided_at TYPE minmax
)
ENGINE = ReplacingMergeTree
PARTITION BY (topic, kafka_partition)
ORDER BY (topic, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Records of orders.validated and orders.rejected, one row each, repeated ones until they are merged: read verdicts instead.'
