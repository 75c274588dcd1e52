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

CREATE SCHEMA privacy;

CREATE TABLE privacy.requests (
    id                   uuid        PRIMARY KEY,
    subject_id           uuid        NOT NULL,
    version              bigint      NOT NULL,
    position             bigint      NOT NULL,
    kind                 text        NOT NULL,
    channel              text        NOT NULL,
    received_on          date        NOT NULL,
    due_on               date        NOT NULL,
    recorded_at          timestamptz NOT NULL,
    state                text        NOT NULL,
    identity_proof       text,
    identity_verified_at timestamptz,
    extended_by          bigint      NOT NULL,
    extension_ground     text,
    notice               text,
    erasure_id           uuid,
    dossier_ids          uuid[]      NOT NULL,
    export_id            uuid,
    record_ids           uuid[]      NOT NULL,
    refusal_ground       text,
    closed_at            timestamptz,
    sealed               jsonb
);
CREATE INDEX ON privacy.requests (subject_id);
CREATE INDEX ON privacy.requests (due_on) WHERE state = 'open';

-- No event of this view is older than the view: it has come as far as the others.
INSERT INTO views.tracking (view, source, position)
SELECT 'privacy', source, min(position) FROM views.tracking WHERE source IN ('log', 'kafka') GROUP BY source;
