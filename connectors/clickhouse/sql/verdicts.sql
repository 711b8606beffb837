CREATE OR REPLACE VIEW verdicts AS
WITH
    (
        SELECT groupArrayInsertAt(next_offset, toUInt32(kafka_partition))
        FROM view_offsets WHERE topic = 'orders.validated'
    ) AS applied_validated,
    (
        SELECT groupArrayInsertAt(next_offset, toUInt32(kafka_partition))
        FROM view_offsets WHERE topic = 'orders.rejected'
    ) AS applied_rejected
SELECT * FROM verdicts_raw FINAL
WHERE kafka_offset < if(accepted, applied_validated[kafka_partition + 1], applied_rejected[kafka_partition + 1])
COMMENT 'Verdicts on commands. Exactly the records below view_offsets; columns as in verdicts_raw. {definition}'
