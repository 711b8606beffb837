CREATE OR REPLACE VIEW view_offsets
(
    topic String COMMENT 'Topic.',
    kafka_partition Int32 COMMENT 'Partition of the topic.',
    next_offset Int64 COMMENT 'Offset of the next record to apply: the views are the fold of all records below it.'
)
AS SELECT topic, kafka_partition, max(next_offset) AS next_offset
FROM view_offsets_raw
GROUP BY topic, kafka_partition
COMMENT 'The offsets up to which every view here is the fold of its topics. {definition}'
