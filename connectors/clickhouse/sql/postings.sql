CREATE OR REPLACE VIEW postings AS
WITH (
    SELECT groupArrayInsertAt(next_offset, toUInt32(kafka_partition)) FROM view_offsets WHERE topic = 'trades.settled'
) AS applied
SELECT * FROM postings_raw FINAL
WHERE kafka_offset < applied[kafka_partition + 1]
COMMENT 'Lines of the ledger. Exactly the records below view_offsets; columns as in postings_raw. {definition}'
