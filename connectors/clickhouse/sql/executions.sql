CREATE OR REPLACE VIEW executions AS
WITH (
    SELECT groupArrayInsertAt(next_offset, toUInt32(kafka_partition)) FROM view_offsets WHERE topic = 'trades.executed'
) AS applied
SELECT * FROM executions_raw FINAL
WHERE kafka_offset < applied[kafka_partition + 1]
COMMENT 'What the books did. Exactly the records below view_offsets; columns as in executions_raw. {definition}'
