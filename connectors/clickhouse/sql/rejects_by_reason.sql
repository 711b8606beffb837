CREATE OR REPLACE VIEW rejects_by_reason
(
    reason String COMMENT 'Reason code.',
    kind String COMMENT 'What the refused commands were to do.',
    rejects UInt64 COMMENT 'How many commands.',
    accounts UInt64 COMMENT 'Of how many accounts.',
    first_at DateTime64(3, 'UTC') COMMENT 'When the first of them was refused.',
    last_at DateTime64(3, 'UTC') COMMENT 'When the last of them was refused.'
)
AS SELECT
    reason,
    kind,
    count() AS rejects,
    uniqExact(account) AS accounts,
    min(decided_at) AS first_at,
    max(decided_at) AS last_at
FROM verdicts
WHERE NOT accepted
GROUP BY reason, kind
COMMENT 'Refused commands by reason and kind. {definition}'
