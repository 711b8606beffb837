CREATE OR REPLACE VIEW latency_by_stage
(
    stage String COMMENT 'ordered to validated, validated to executed, executed to settled, or total.',
    settlements UInt64 COMMENT 'How many settled sides of trades.',
    p50_ms Int64 COMMENT 'Median, milliseconds. Exact, as the other percentiles.',
    p95_ms Int64 COMMENT '95th percentile, milliseconds.',
    p99_ms Int64 COMMENT '99th percentile, milliseconds.',
    max_ms Int64 COMMENT 'Largest, milliseconds.'
)
AS WITH
    date_diff('ms', commanded_at, validated_at) AS validated_ms,
    date_diff('ms', validated_at, executed_at) AS executed_ms,
    date_diff('ms', executed_at, settled_at) AS settled_ms,
    date_diff('ms', commanded_at, settled_at) AS total_ms
SELECT
    step.1 AS stage,
    settlements,
    step.2[1] AS p50_ms,
    step.2[2] AS p95_ms,
    step.2[3] AS p99_ms,
    step.2[4] AS max_ms
FROM
(
    SELECT
        count() AS settlements,
        -- Weighted by 1: it counts equal values, of which there are many in milliseconds, and doesn't sort.
        quantilesExactWeighted(0.5, 0.95, 0.99, 1)(validated_ms, 1) AS validated,
        quantilesExactWeighted(0.5, 0.95, 0.99, 1)(executed_ms, 1) AS executed,
        quantilesExactWeighted(0.5, 0.95, 0.99, 1)(settled_ms, 1) AS settled,
        quantilesExactWeighted(0.5, 0.95, 0.99, 1)(total_ms, 1) AS total
    FROM settlements
    WHERE kind = 'TRADE'
    HAVING settlements > 0
)
ARRAY JOIN [
    ('ordered to validated', validated),
    ('validated to executed', executed),
    ('executed to settled', settled),
    ('total', total)
] AS step
COMMENT 'Latency of trades from order to settlement by stage. {definition}'
