-- History: where the fold of a long record may start, and what the timeline is asked by.

CREATE SCHEMA history;

-- A record's row as it stood after every 256th event, and the times of those 256. Derived from the log alone,
-- for one form of the program (`form`): a release whose projections differ makes its own and drops the others.
CREATE TABLE history.segments (
    record_id         uuid          NOT NULL,
    view              text          NOT NULL,
    form              bytea         NOT NULL,
    from_version      bigint        NOT NULL,
    to_version        bigint        NOT NULL,
    -- Of each event from `from_version` on, in order.
    occurred          timestamptz[] NOT NULL,
    recorded          timestamptz[] NOT NULL,
    occurred_min      timestamptz   NOT NULL,
    recorded_min      timestamptz   NOT NULL,
    -- Over everything up to `to_version`.
    occurred_max      timestamptz   NOT NULL,
    recorded_max      timestamptz   NOT NULL,
    -- As the view's own table has it, boxes sealed; null where the view shows nothing of the record.
    "row"             jsonb,
    PRIMARY KEY (record_id, view, form, to_version),
    CHECK (cardinality(occurred) = to_version - from_version + 1 AND cardinality(recorded) = cardinality(occurred))
);

-- The few events that end a segment, so that they are found without reading the log.
CREATE INDEX segments ON log.events (position) WHERE originator_version % 256 = 0;
