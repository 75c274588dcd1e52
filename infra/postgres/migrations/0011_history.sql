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

-- The timeline finds events by what they are about, who did it, when, and what they came from.
ALTER TABLE timeline.entries
    ADD COLUMN event_id       uuid,
    ADD COLUMN actor          text,
    ADD COLUMN on_behalf_of   text,
    ADD COLUMN correlation_id uuid,
    ADD COLUMN causation_id   uuid;
UPDATE timeline.entries AS it SET
    event_id = (said.it ->> 'id')::uuid,
    actor = said.it ->> 'actor',
    on_behalf_of = said.it ->> 'on_behalf_of',
    correlation_id = (said.it ->> 'correlation_id')::uuid,
    causation_id = (said.it ->> 'causation_id')::uuid
FROM log.events AS event, LATERAL (SELECT convert_from(event.state, 'UTF8')::json AS it) AS said
WHERE event.position = it.position;
ALTER TABLE timeline.entries
    ALTER COLUMN event_id SET NOT NULL,
    ALTER COLUMN actor SET NOT NULL,
    ALTER COLUMN correlation_id SET NOT NULL;
CREATE INDEX ON timeline.entries (originator_id, position);
CREATE INDEX ON timeline.entries (actor, position);
CREATE INDEX ON timeline.entries (on_behalf_of, position) WHERE on_behalf_of IS NOT NULL;
CREATE INDEX ON timeline.entries (recorded_at, position);
CREATE INDEX ON timeline.entries (occurred_at, position);
CREATE INDEX ON timeline.entries (causation_id) WHERE causation_id IS NOT NULL;

-- Views as of other times that take a while: what was asked, how far it is, and what came of it. Filters and ids
-- only: of a list the ids of its rows, which are folded and opened again for whoever reads it.
CREATE TABLE history.reports (
    id         uuid        PRIMARY KEY,
    view       text        NOT NULL,
    asked      jsonb       NOT NULL,
    actor      text        NOT NULL,
    asked_at   timestamptz NOT NULL,
    state      text        NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
    done       bigint      NOT NULL DEFAULT 0,
    total      bigint      NOT NULL DEFAULT 0,
    -- When the process that works on it last said so.
    beat_at    timestamptz NOT NULL,
    result     jsonb,
    CHECK ((state = 'done') = (result IS NOT NULL))
);
CREATE INDEX ON history.reports (asked_at);
