CREATE OR REPLACE VIEW commands AS
WITH (
    SELECT groupArrayInsertAt(next_offset, toUInt32(kafka_partition)) FROM view_offsets WHERE topic = 'orders'
) AS applied
SELECT * FROM commands_raw FINAL
WHERE kafka_offset < applied[kafka_partition + 1]
COMMENT 'Commands, as published. Exactly the records below view_offsets; columns as in commands_raw. {definition}'
