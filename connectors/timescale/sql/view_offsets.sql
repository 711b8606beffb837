-- How far the view is. Moved in the database transaction that writes the rows, so that the two never differ.
CREATE TABLE public.view_offsets (
    topic       text   NOT NULL,
    "partition" int    NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    PRIMARY KEY (topic, "partition")
);

COMMENT ON TABLE public.view_offsets IS 'The offsets that this view states: all other tables are the fold of the topics up to them. One row for each partition that has been read.';
COMMENT ON COLUMN public.view_offsets.topic IS 'Kafka topic.';
COMMENT ON COLUMN public.view_offsets."partition" IS 'Partition of the topic.';
COMMENT ON COLUMN public.view_offsets.next_offset IS 'Offset of the first record that has not been applied yet.';
