CREATE OR REPLACE VIEW fill_ratio
(
    instrument String COMMENT 'The instrument.',
    orders UInt64 COMMENT 'Orders that entered its book.',
    filled_orders UInt64 COMMENT 'Orders with any fill.',
    fully_filled_orders UInt64 COMMENT 'Orders that were filled in full.',
    ordered_quantity Decimal(38, 8) COMMENT 'Sum of the orders'' quantities as they were placed: later amends do not change it.',
    filled_quantity Decimal(38, 8) COMMENT 'Sum of what was filled of them: each trade counts for both of its orders.',
    fill_ratio Float64 COMMENT 'filled_quantity by ordered_quantity.'
)
AS SELECT
    instrument,
    sum(part.orders) AS orders,
    sum(part.filled_orders) AS filled_orders,
    sum(part.fully_filled_orders) AS fully_filled_orders,
    sum(part.ordered_quantity) AS ordered_quantity,
    sum(part.filled_quantity) AS filled_quantity,
    toFloat64(filled_quantity) / toFloat64(ordered_quantity) AS fill_ratio
FROM
(
    SELECT
        instrument,
        count() AS orders,
        toUInt64(0) AS filled_orders,
        toUInt64(0) AS fully_filled_orders,
        sum(assumeNotNull(order_quantity)) AS ordered_quantity,
        toDecimal128(0, 8) AS filled_quantity
    FROM executions
    WHERE kind = 'ACCEPTED'
    GROUP BY instrument
    UNION ALL
    -- An order's first fill is the trade after which it has filled just that trade's quantity.
    SELECT
        instrument,
        0,
        countIf(taker_filled = quantity) + countIf(maker_filled = quantity),
        countIf(taker_status = 'FILLED') + countIf(maker_status = 'FILLED'),
        0,
        sum(quantity) * 2
    FROM trades
    GROUP BY instrument
) AS part
GROUP BY instrument
COMMENT 'Orders, ordered and filled quantity by instrument. {definition}'
