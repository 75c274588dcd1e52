-- The views: one schema a view, so that a rebuilt one takes the live one's place by its name alone.
-- No personal plaintext: `sealed` holds boxes as the log has them, with the fields found inside.

CREATE SCHEMA views;

-- How far each view has come: 'log' where it follows the log, 'kafka' where it is fed from there (the highest
-- position seen), 'next' while it is rebuilt.
CREATE TABLE views.tracking (
    view     text   NOT NULL,
    source   text   NOT NULL CHECK (source IN ('log', 'kafka', 'next')),
    position bigint NOT NULL,
    PRIMARY KEY (view, source)
);

CREATE SCHEMA directory;

CREATE TABLE directory.customers (
    id            uuid        PRIMARY KEY,
    subject_id    uuid        NOT NULL,
    version       bigint      NOT NULL,
    position      bigint      NOT NULL,
    kind          text        NOT NULL,
    source        text        NOT NULL,
    lawful_basis  text        NOT NULL,
    purpose       text        NOT NULL,
    registered_at timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    organisation  text,
    sector        text,
    employees     bigint,
    country       text,
    parent        text,
    lead_id       uuid,
    owner_id      uuid,
    segment       text,
    tags          text[]      NOT NULL,
    archived      boolean     NOT NULL,
    sealed        jsonb
);

CREATE TABLE directory.members (
    id            uuid        PRIMARY KEY,
    subject_id    uuid        NOT NULL,
    version       bigint      NOT NULL,
    position      bigint      NOT NULL,
    registered_at timestamptz NOT NULL,
    team          text,
    office        text,
    manager_id    uuid,
    left_at       timestamptz,
    sealed        jsonb
);

CREATE TABLE directory.erasures (
    id                uuid        PRIMARY KEY,
    subject_id        uuid        NOT NULL,
    version           bigint      NOT NULL,
    position          bigint      NOT NULL,
    erased_subject_id uuid        NOT NULL,
    ground            text        NOT NULL,
    requested_at      timestamptz NOT NULL,
    erased_at         timestamptz,
    fingerprints      text[]      NOT NULL
);
CREATE INDEX ON directory.erasures (erased_subject_id);

-- Exact lookup: keyed digests, which tell nothing without the key. Erasure deletes a subject's rows.
CREATE TABLE directory.blind_index (
    record_id  uuid  NOT NULL,
    subject_id uuid  NOT NULL,
    kind       text  NOT NULL CHECK (kind IN ('email', 'phone')),
    digest     bytea NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (record_id, subject_id, kind)
);
CREATE INDEX ON directory.blind_index (kind, digest);
CREATE INDEX ON directory.blind_index (subject_id);

CREATE SCHEMA pipeline;

CREATE TABLE pipeline.leads (
    id                uuid        PRIMARY KEY,
    subject_id        uuid        NOT NULL,
    version           bigint      NOT NULL,
    position          bigint      NOT NULL,
    stage             text        NOT NULL,
    furthest          text        NOT NULL,
    source            text        NOT NULL,
    captured_at       timestamptz NOT NULL,
    changed_at        timestamptz NOT NULL,
    campaign          text,
    product           text,
    organisation      text,
    country           text,
    customer_id       uuid,
    owner_id          uuid,
    value             numeric,
    currency          char(3),
    expected_close_on date,
    engaged_at        timestamptz,
    qualified_at      timestamptz,
    proposed_at       timestamptz,
    closed_at         timestamptz,
    cause             text,
    sealed            jsonb
);
CREATE INDEX ON pipeline.leads (customer_id) WHERE customer_id IS NOT NULL;

CREATE SCHEMA tickets;

CREATE TABLE tickets.tickets (
    id                 uuid        PRIMARY KEY,
    subject_id         uuid        NOT NULL,
    version            bigint      NOT NULL,
    position           bigint      NOT NULL,
    channel            text        NOT NULL,
    impact             text        NOT NULL,
    urgency            text        NOT NULL,
    priority           text        NOT NULL,
    opened_at          timestamptz NOT NULL,
    changed_at         timestamptz NOT NULL,
    status             text        NOT NULL,
    line               text        NOT NULL,
    customer_id        uuid,
    product            text,
    country            text,
    team               text,
    agent_id           uuid,
    waiting_for        text,
    first_response_at  timestamptz,
    resolved_at        timestamptz,
    closed_at          timestamptz,
    first_response_due timestamptz,
    resolution_due     timestamptz,
    pauses             jsonb       NOT NULL,
    unresolved         jsonb       NOT NULL,
    sealed             jsonb
);
CREATE INDEX ON tickets.tickets (customer_id) WHERE customer_id IS NOT NULL;

CREATE SCHEMA timeline;

CREATE TABLE timeline.entries (
    position      bigint      PRIMARY KEY,
    originator_id uuid        NOT NULL,
    version       bigint      NOT NULL,
    topic         text        NOT NULL,
    occurred_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    subjects      uuid[]      NOT NULL
);
CREATE INDEX ON timeline.entries USING gin (subjects);
