-- The privacy officer's scope: see and do what people's rights ask for.
ALTER TABLE auth.tokens DROP CONSTRAINT tokens_scopes_check;
ALTER TABLE auth.tokens ADD CONSTRAINT tokens_scopes_check
    CHECK (scopes <@ ARRAY['read', 'write', 'erase', 'comply', 'admin']);

-- Work that comes back: when each job was run, how that ended, and when it is due.
CREATE SCHEMA schedule;

CREATE TABLE schedule.jobs (
    name          text             PRIMARY KEY,
    every_seconds double precision NOT NULL,
    state         text             NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'done', 'failed', 'interrupted')),
    outcome       text,
    started_at    timestamptz,
    ended_at      timestamptz,
    succeeded_at  timestamptz,
    next_at       timestamptz      NOT NULL
);
