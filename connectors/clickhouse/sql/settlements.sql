CREATE OR REPLACE VIEW settlements AS
WITH (
    SELECT groupArrayInsertAt(next_offset, toUInt32(kafka_partition)) FROM view_offsets WHERE topic = 'trades.settled'
) AS applied
SELECT * FROM settlements_raw FINAL
WHERE kafka_offset < applied[kafka_partition + 1]
COMMENT 'Settled sides of trades, releases and transfers. Exactly the records below view_offsets; columns as in settlements_raw. {definition}'
