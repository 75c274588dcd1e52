-- The key store: wrapped data keys in a schema of their own, owned by a role of its own, reached by functions.

DO $$
BEGIN
    CREATE ROLE lethe_keys NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- roles belong to the server: another database of it has made this one
END
$$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'lethe_keys', 'SET') THEN
        EXECUTE format('GRANT lethe_keys TO %I WITH INHERIT FALSE, SET TRUE', current_user);
    END IF;
END
$$;

CREATE SCHEMA keys AUTHORIZATION lethe_keys;
SET LOCAL ROLE lethe_keys;

-- Whose keys these are, and a value that only the right key-encryption key opens.
CREATE TABLE keys.meta (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    namespace  text NOT NULL CHECK (namespace <> ''),
    kek_id     text NOT NULL,
    canary     bytea NOT NULL,
    founded_at timestamptz NOT NULL DEFAULT now()
);

-- The row that minting and erasing both lock. Once `erased_at` is set it stays: the fence.
CREATE TABLE keys.subjects (
    subject_id uuid PRIMARY KEY,
    erased_at  timestamptz
);

-- An erased key leaves its tombstone: which key it was, and nothing of it.
CREATE TABLE keys.data_keys (
    subject_id  uuid NOT NULL,
    category    text NOT NULL,
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'erased')),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    wrapped     bytea CHECK (octet_length(wrapped) > 32),
    PRIMARY KEY (subject_id, category),
    CHECK ((state = 'active') = (wrapped IS NOT NULL))
);

-- Keys of the system's own, such as the blind index's: of no data subject, so never erased.
CREATE TABLE keys.system_keys (
    name        text PRIMARY KEY,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    wrapped     bytea NOT NULL
);

CREATE FUNCTION keys.identity()
RETURNS TABLE (namespace text, kek_id text, canary bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT namespace, kek_id, canary FROM keys.meta
$$;

CREATE FUNCTION keys.found(its_namespace text, its_kek_id text, its_canary bytea)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO keys.meta (namespace, kek_id, canary) VALUES (its_namespace, its_kek_id, its_canary)
    ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION keys.provide_system_key(its_name text, its_fingerprint bytea, its_wrapped bytea)
RETURNS TABLE (fingerprint bytea, wrapped bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO keys.system_keys (name, fingerprint, wrapped) VALUES (its_name, its_fingerprint, its_wrapped)
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT fingerprint, wrapped FROM keys.system_keys WHERE name = its_name;
END
$$;

-- Keys to seal with. Those that do not exist are taken from the offered ones, unless the subject is erased; an
-- offer may be null where the key is known to exist. The subjects stay locked against `shred` until the caller's
-- transaction ends. Locks are taken in one order everywhere, so that writers never wait in a circle.
-- The planner is held to the indexes: a plan made while the tables are empty is kept for the connection's life.
CREATE FUNCTION keys.provide(subject_ids uuid[], categories text[], fingerprints bytea[], wrappings bytea[])
RETURNS TABLE (subject_id uuid, category text, erased boolean, fingerprint bytea, wrapped bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO keys.subjects (subject_id)
    SELECT DISTINCT wanted FROM unnest(subject_ids) AS wanted ORDER BY wanted
    ON CONFLICT DO NOTHING;

    PERFORM FROM keys.subjects WHERE subject_id = ANY (subject_ids) ORDER BY subject_id FOR SHARE;

    INSERT INTO keys.data_keys (subject_id, category, fingerprint, wrapped)
    SELECT offer.subject_id, offer.category, offer.fingerprint, offer.wrapped
    FROM unnest(subject_ids, categories, fingerprints, wrappings)
        AS offer (subject_id, category, fingerprint, wrapped)
    JOIN keys.subjects AS subject ON subject.subject_id = offer.subject_id
    WHERE subject.erased_at IS NULL AND offer.wrapped IS NOT NULL
    ORDER BY offer.subject_id, offer.category
    ON CONFLICT DO NOTHING;

    RETURN QUERY
    SELECT wanted.subject_id, wanted.category, subject.erased_at IS NOT NULL, kept.fingerprint, kept.wrapped
    FROM unnest(subject_ids, categories) AS wanted (subject_id, category)
    JOIN keys.subjects AS subject ON subject.subject_id = wanted.subject_id
    LEFT JOIN keys.data_keys AS kept
        ON kept.subject_id = wanted.subject_id AND kept.category = wanted.category;
END
$$;

-- Keys to open with: no row where there never was one.
CREATE FUNCTION keys.fetch(subject_ids uuid[], categories text[])
RETURNS TABLE (subject_id uuid, category text, state text, fingerprint bytea, wrapped bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT kept.subject_id, kept.category, kept.state, kept.fingerprint, kept.wrapped
    FROM unnest(subject_ids, categories) AS wanted (subject_id, category)
    JOIN keys.data_keys AS kept
        ON kept.subject_id = wanted.subject_id AND kept.category = wanted.category;
END
$$;

-- One subject's keys: every category that ever had one.
CREATE FUNCTION keys.of_subject(its_subject_id uuid)
RETURNS TABLE (category text, state text, fingerprint bytea, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT category, state, fingerprint, wrapped FROM keys.data_keys WHERE subject_id = its_subject_id
$$;

-- Raises the fence, destroys the keys, and answers with the tombstones. May be repeated.
CREATE FUNCTION keys.shred(its_subject_id uuid)
RETURNS TABLE (category text, fingerprint bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO keys.subjects AS subject (subject_id, erased_at) VALUES (its_subject_id, now())
    ON CONFLICT (subject_id) DO UPDATE SET erased_at = coalesce(subject.erased_at, now());

    UPDATE keys.data_keys SET state = 'erased', wrapped = NULL
    WHERE subject_id = its_subject_id AND state = 'active';

    RETURN QUERY SELECT category, fingerprint FROM keys.data_keys WHERE subject_id = its_subject_id;
END
$$;

-- Those of the subjects that are erased.
CREATE FUNCTION keys.erased(subject_ids uuid[])
RETURNS TABLE (subject_id uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT subject_id FROM keys.subjects WHERE subject_id = ANY (subject_ids) AND erased_at IS NOT NULL;
END
$$;

-- Those of the subjects that are not erased, locked against `shred` until the caller's transaction ends: for
-- whoever stores something that finds a person, such as a blind index row.
CREATE FUNCTION keys.hold_living(subject_ids uuid[])
RETURNS TABLE (subject_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT subject_id FROM keys.subjects WHERE subject_id = ANY (subject_ids) AND erased_at IS NULL
    ORDER BY subject_id FOR SHARE;
END
$$;

-- Whether the store has ever heard of the subject.
CREATE FUNCTION keys.knows(its_subject_id uuid)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM keys.subjects WHERE subject_id = its_subject_id)
$$;

-- How many keys there are, by category and state.
CREATE FUNCTION keys.counts()
RETURNS TABLE (category text, state text, number bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT category, state, count(*) FROM keys.data_keys GROUP BY category, state ORDER BY category, state
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keys FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA keys TO %I', session_user);
    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA keys TO %I', session_user);
END
$$;
RESET ROLE;

-- The few events that erasures leave, so that unfinished ones are found without reading the log.
CREATE INDEX erasures ON log.events (originator_id) WHERE topic IN ('erasure.requested', 'subject.erased');
