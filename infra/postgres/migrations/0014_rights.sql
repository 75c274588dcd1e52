-- The view of what people's rights ask for: restrictions, legal holds, consents, the register, retention policies.

CREATE SCHEMA rights;

CREATE TABLE rights.restrictions (
    id         uuid        PRIMARY KEY,
    subject_id uuid        NOT NULL,
    version    bigint      NOT NULL,
    position   bigint      NOT NULL,
    imposed_at timestamptz NOT NULL,
    cause      text,
    lifted_at  timestamptz
);

CREATE TABLE rights.holds (
    id         uuid        PRIMARY KEY,
    subject_id uuid        NOT NULL,
    version    bigint      NOT NULL,
    position   bigint      NOT NULL,
    matter     text        NOT NULL,
    placed_at  timestamptz NOT NULL,
    lifted_at  timestamptz,
    covered    uuid[]      NOT NULL,
    released   uuid[]      NOT NULL,
    sealed     jsonb
);
CREATE INDEX ON rights.holds USING gin (covered);

CREATE TABLE rights.consents (
    id              uuid        PRIMARY KEY,
    subject_id      uuid        NOT NULL,
    version         bigint      NOT NULL,
    position        bigint      NOT NULL,
    purpose         text        NOT NULL,
    state           text        NOT NULL,
    wording_version text        NOT NULL,
    source          text        NOT NULL,
    given_at        timestamptz NOT NULL,
    channel         text,
    expires_on      date,
    ended_at        timestamptz,
    sealed          jsonb
);
CREATE INDEX ON rights.consents (subject_id);
CREATE INDEX ON rights.consents (expires_on) WHERE state = 'given' AND expires_on IS NOT NULL;

CREATE TABLE rights.activities (
    id              uuid        PRIMARY KEY,
    subject_id      uuid        NOT NULL,
    version         bigint      NOT NULL,
    position        bigint      NOT NULL,
    code            text        NOT NULL,
    name            text        NOT NULL,
    description     text        NOT NULL,
    lawful_basis    text        NOT NULL,
    consent_needed  boolean     NOT NULL,
    role            text        NOT NULL,
    registered_at   timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    categories      text[]      NOT NULL,
    subject_kinds   text[]      NOT NULL,
    recipients      text[]      NOT NULL,
    third_countries text[]      NOT NULL,
    safeguards      text,
    retention       text,
    security        text,
    retired_at      timestamptz
);

CREATE TABLE rights.policies (
    id           uuid        PRIMARY KEY,
    subject_id   uuid        NOT NULL,
    version      bigint      NOT NULL,
    position     bigint      NOT NULL,
    kind         text        NOT NULL,
    category     text        NOT NULL,
    days         bigint      NOT NULL,
    after        text[]      NOT NULL,
    legal_reason text        NOT NULL,
    set_at       timestamptz NOT NULL,
    withdrawn_at timestamptz
);

CREATE TABLE rights.staff (
    id            uuid        PRIMARY KEY,
    subject_id    uuid        NOT NULL,
    version       bigint      NOT NULL,
    position      bigint      NOT NULL,
    left_at       timestamptz,
    expires_first date,
    credentials   jsonb       NOT NULL
);
INSERT INTO rights.staff (id, subject_id, version, position, left_at, credentials)
SELECT id, subject_id, version, position, left_at, '[]' FROM directory.members;

-- On what basis somebody is held, asked by the person.
CREATE INDEX ON directory.customers (subject_id);

-- No such event was written before this migration: the view starts where the others are.
INSERT INTO views.tracking (view, source, position)
SELECT 'rights', source, min(position) FROM views.tracking WHERE source <> 'next' GROUP BY source;
