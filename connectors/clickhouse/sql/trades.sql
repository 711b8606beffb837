CREATE OR REPLACE VIEW trades AS
WITH (
    SELECT groupArrayInsertAt(next_offset, toUInt32(kafka_partition)) FROM view_offsets WHERE topic = 'trades.executed'
) AS applied
SELECT * FROM trades_raw FINAL
WHERE kafka_offset < applied[kafka_partition + 1]
COMMENT 'Trades. Exactly the records below view_offsets; columns as in trades_raw. {definition}'
