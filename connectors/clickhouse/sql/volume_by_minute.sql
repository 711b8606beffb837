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
    toStartOfMinute(traded_at) AS minute,
    instrument,
    count() AS trades,
    sum(quantity) AS volume,
    sum(notional) AS notional,
    toFloat64(sum(notional)) / toFloat64(sum(quantity)) AS vwap
FROM trades
GROUP BY minute, instrument
COMMENT 'Volume, notional and VWAP by instrument and minute; minutes without a trade have no row. {definition}'
