-- How the topics' partitions have grown, for aggregates to stay where they are. One that was born (its first
-- event) above from_position, and not above the next one, is spread over this number of partitions.
CREATE TABLE log.partitions (
    topic_id      text        NOT NULL,
    from_position bigint      NOT NULL,
    topic         text        NOT NULL,
    partitions    integer     NOT NULL CHECK (partitions > 0),
    recorded_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic_id, from_position)
);

-- Why the relay does not publish to this place, where a person has to decide.
ALTER TABLE log.relay ADD COLUMN fault text;
