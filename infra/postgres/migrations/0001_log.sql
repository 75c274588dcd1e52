-- The event log: events are written once and never changed.

CREATE SCHEMA log;

-- One namespace a database: what is sealed names it, so it never changes.
CREATE TABLE log.meta (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    namespace text NOT NULL CHECK (namespace <> '')
);

CREATE SEQUENCE log.positions AS bigint;

CREATE TABLE log.events (
    -- First, so that a writer has its transaction id before it draws a position: readers rely on it.
    xid                xid8   NOT NULL DEFAULT pg_current_xact_id(),
    position           bigint NOT NULL DEFAULT nextval('log.positions') PRIMARY KEY,
    originator_id      uuid   NOT NULL,
    originator_version bigint NOT NULL,
    topic              text   NOT NULL,
    state              bytea  NOT NULL,
    CONSTRAINT one_event_a_version UNIQUE (originator_id, originator_version)
);

ALTER SEQUENCE log.positions OWNED BY log.events.position;

-- What each command came to, stored in the transaction of its events: the first answer is the only one.
CREATE TABLE log.commands (
    command_id     uuid   CONSTRAINT one_answer_a_command PRIMARY KEY,
    request_digest bytea  NOT NULL,
    originator_id  uuid   NOT NULL,
    version        bigint NOT NULL,
    position       bigint NOT NULL,
    subject_id     uuid   NOT NULL
);

-- What a reader needs for its fence: the last position drawn, then a transaction id of its own. All who drew
-- a position up to that one got their transaction id before this call got its own.
CREATE FUNCTION log.allocation(OUT highest bigint, OUT fence xid8)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO highest FROM log.positions;
    fence := pg_current_xact_id();
END
$$;
