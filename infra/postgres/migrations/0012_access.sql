-- The access log: who saw whose personal data. Pseudonyms only.

CREATE SCHEMA access;

-- `body` is the batch's accesses as JSON lines, the very bytes that are hashed into the audit tree; pruned, it is
-- null, and the hash stays. Numbers rise in order of commit; there may be gaps.
CREATE TABLE access.batches (
    number    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id        uuid        NOT NULL UNIQUE,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    entries   integer     NOT NULL,
    leaf_hash bytea       NOT NULL CHECK (octet_length(leaf_hash) = 32),
    body      bytea
);
CREATE INDEX ON access.batches (first_at);
ALTER TABLE access.batches ALTER body SET STORAGE EXTERNAL; -- ids do not compress

-- In which batches a subject was seen, and an actor saw.
CREATE TABLE access.subjects (
    subject_id uuid   NOT NULL,
    batch      bigint NOT NULL,
    PRIMARY KEY (subject_id, batch)
);
CREATE INDEX ON access.subjects USING brin (batch);

CREATE TABLE access.actors (
    actor_id uuid   NOT NULL,
    batch    bigint NOT NULL,
    PRIMARY KEY (actor_id, batch)
);

-- Stores a batch, once. The lock makes the numbers rise in order of commit, so that a reader who has seen one will
-- never see a lower one appear.
CREATE FUNCTION access.append(
    its_id uuid, its_first_at timestamptz, its_last_at timestamptz, its_entries integer, its_leaf_hash bytea,
    its_body bytea, its_subjects uuid[], its_actors uuid[]
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    its_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7809632, 1);
    INSERT INTO access.batches (id, first_at, last_at, entries, leaf_hash, body)
    VALUES (its_id, its_first_at, its_last_at, its_entries, its_leaf_hash, its_body)
    ON CONFLICT (id) DO NOTHING
    RETURNING number INTO its_number;
    IF its_number IS NOT NULL THEN
        INSERT INTO access.subjects SELECT it, its_number FROM unnest(its_subjects) AS it;
        INSERT INTO access.actors SELECT it, its_number FROM unnest(its_actors) AS it;
    END IF;
    RETURN its_number;
END
$$;

-- What each actor was shown by hour and by day: what the unusual is told from.
CREATE TABLE access.activity (
    actor_id uuid        NOT NULL,
    period   text        NOT NULL CHECK (period IN ('hour', 'day')),
    since    timestamptz NOT NULL,
    pages    bigint      NOT NULL,
    subjects bigint      NOT NULL,
    PRIMARY KEY (actor_id, period, since)
);

CREATE TABLE access.unusual (
    number   bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor_id uuid             NOT NULL,
    measure  text             NOT NULL,
    since    timestamptz      NOT NULL,
    measured bigint           NOT NULL,
    usual    double precision NOT NULL,
    most     double precision NOT NULL,
    found_at timestamptz      NOT NULL,
    UNIQUE (actor_id, measure, since)
);
