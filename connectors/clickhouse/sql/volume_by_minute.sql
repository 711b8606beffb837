CREATE OR REPLACE VIEW volume_by_minute
(
    minute DateTime('UTC') COMMENT 'Minute of the trades'' own time.',
    instrument String COMMENT 'The instrument.',
    trades UInt64 COMMENT 'How many trades.',
    volume Decimal(38, 8) COMMENT 'Traded quantity of the base asset, each trade once.',
    notional Decimal(38, 8) COMMENT 'Price times quantity in the quote asset, each trade once.',
    vwap Float64 COMMENT 'Volume-weighted average price: notional by volume.'
)
AS SELECT
    toStartOfMinute(t.traded_at) AS minute,
    t.instrument AS instrument,
    count() AS trades,
    sum(t.quantity) AS volume,
    sum(t.notional) AS notional,
    toFloat64(notional) / toFloat64(volume) AS vwap
FROM trades AS t
GROUP BY minute, instrument
COMMENT 'Volume, notional and VWAP by instrument and minute; minutes without a trade have no row. {definition}'
