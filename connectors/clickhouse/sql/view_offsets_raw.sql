CREATE TABLE IF NOT EXISTS view_offsets_raw
(
    topic LowCardinality(String) COMMENT 'Topic.',
    kafka_partition Int32 COMMENT 'Partition of the topic.',
    next_offset Int64 COMMENT 'Offset of the next record to apply: all records below it are in the tables.'
)
ENGINE = ReplacingMergeTree(next_offset)
ORDER BY (topic, kafka_partition)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What the sink has applied, several rows for a partition until they are merged: read view_offsets instead.'
