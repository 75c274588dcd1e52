-- Marks on data subjects (restricted, held), and erasure of some categories only.

SET LOCAL ROLE lethe_keys;

-- `restricted_position` is the log position that said so: what is older never overwrites what is newer.
ALTER TABLE keys.subjects
    ADD COLUMN restricted boolean NOT NULL DEFAULT false,
    ADD COLUMN restricted_position bigint NOT NULL DEFAULT 0;

-- Legal holds by the subjects that they name: while there is one, nothing of the subject's is destroyed.
CREATE TABLE keys.holds (
    hold_id    uuid NOT NULL,
    subject_id uuid NOT NULL,
    PRIMARY KEY (subject_id, hold_id)
);

-- A category that is erased alone leaves its tombstone also where it never had a key: the category's fence.
ALTER TABLE keys.data_keys
    ALTER COLUMN fingerprint DROP NOT NULL,
    ADD CHECK (state = 'erased' OR fingerprint IS NOT NULL);

DROP FUNCTION keys.provide(uuid[], text[], bytea[], bytea[]);
DROP FUNCTION keys.shred(uuid);

-- Keys to seal with. Those that do not exist are taken from the offered ones, unless the subject or the category is
-- erased; an offer may be null where the key is known to exist. The subjects stay locked against `shred` and
-- `restrict` until the caller's transaction ends. Locks are taken in one order everywhere, so that writers never
-- wait in a circle.
-- The planner is held to the indexes: a plan made while the tables are empty is kept for the connection's life.
CREATE FUNCTION keys.provide(subject_ids uuid[], categories text[], fingerprints bytea[], wrappings bytea[])
RETURNS TABLE (
    subject_id uuid, category text, erased boolean, restricted boolean, fingerprint bytea, wrapped bytea
)
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
    SELECT wanted.subject_id, wanted.category,
           subject.erased_at IS NOT NULL OR coalesce(kept.state = 'erased', false),
           subject.restricted, kept.fingerprint, kept.wrapped
    FROM unnest(subject_ids, categories) AS wanted (subject_id, category)
    JOIN keys.subjects AS subject ON subject.subject_id = wanted.subject_id
    LEFT JOIN keys.data_keys AS kept
        ON kept.subject_id = wanted.subject_id AND kept.category = wanted.category;
END
$$;

-- Raises the fence, destroys the keys, and answers with the tombstones: of the whole subject, or of the categories
-- that are named. Refuses (LT001) while a hold names the subject, unless everything asked for is erased already.
-- May be repeated.
CREATE FUNCTION keys.shred(its_subject_id uuid, its_categories text[] DEFAULT NULL)
RETURNS TABLE (category text, fingerprint bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted text[] := nullif(its_categories, '{}');
    gone timestamptz;
BEGIN
    INSERT INTO keys.subjects (subject_id) VALUES (its_subject_id) ON CONFLICT DO NOTHING;
    SELECT erased_at INTO gone FROM keys.subjects WHERE subject_id = its_subject_id FOR UPDATE;

    IF gone IS NULL AND EXISTS (SELECT FROM keys.holds WHERE subject_id = its_subject_id) AND (
        wanted IS NULL OR EXISTS (
            SELECT FROM unnest(wanted) AS asked (category) WHERE NOT EXISTS (
                SELECT FROM keys.data_keys AS kept
                WHERE kept.subject_id = its_subject_id AND kept.category = asked.category
                  AND kept.state = 'erased'
            )
        )
    ) THEN
        RAISE EXCEPTION 'a legal hold names the subject' USING ERRCODE = 'LT001';
    END IF;

    IF wanted IS NULL THEN
        UPDATE keys.subjects SET erased_at = now() WHERE subject_id = its_subject_id AND erased_at IS NULL;
    ELSIF gone IS NULL THEN
        INSERT INTO keys.data_keys (subject_id, category, state)
        SELECT DISTINCT its_subject_id, asked, 'erased' FROM unnest(wanted) AS asked
        ON CONFLICT DO NOTHING;
    END IF;

    UPDATE keys.data_keys SET state = 'erased', wrapped = NULL
    WHERE subject_id = its_subject_id AND state = 'active' AND (wanted IS NULL OR category = ANY (wanted));

    RETURN QUERY
    SELECT category, fingerprint FROM keys.data_keys
    WHERE subject_id = its_subject_id AND fingerprint IS NOT NULL
      AND (wanted IS NULL OR category = ANY (wanted));
END
$$;

-- What has to be heeded about the subjects; no row where there is nothing to heed.
CREATE FUNCTION keys.standings(subject_ids uuid[])
RETURNS TABLE (subject_id uuid, erased boolean, categories text[], restricted boolean, held boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT * FROM (
        SELECT subject.subject_id, subject.erased_at IS NOT NULL AS erased,
               ARRAY(SELECT gone.category FROM keys.data_keys AS gone
                     WHERE gone.subject_id = subject.subject_id AND gone.state = 'erased') AS categories,
               subject.restricted,
               EXISTS (SELECT FROM keys.holds AS hold WHERE hold.subject_id = subject.subject_id) AS held
        FROM keys.subjects AS subject
        WHERE subject.subject_id = ANY (subject_ids)
    ) AS standing
    WHERE erased OR restricted OR held OR categories <> '{}';
END
$$;

-- Restricts the processing of a subject, or lifts that, as the log says at this position. May be repeated.
CREATE FUNCTION keys.restrict(its_subject_id uuid, its_restricted boolean, its_position bigint)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO keys.subjects AS subject (subject_id, restricted, restricted_position)
    VALUES (its_subject_id, its_restricted, its_position)
    ON CONFLICT (subject_id) DO UPDATE
    SET restricted = excluded.restricted, restricted_position = excluded.restricted_position
    WHERE subject.restricted_position < excluded.restricted_position
$$;

-- Holds what there is of a subject against erasure; false where they are erased already. May be repeated.
CREATE FUNCTION keys.hold(its_hold_id uuid, its_subject_id uuid)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO keys.subjects (subject_id) VALUES (its_subject_id) ON CONFLICT DO NOTHING;
    PERFORM FROM keys.subjects WHERE subject_id = its_subject_id AND erased_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO keys.holds (hold_id, subject_id) VALUES (its_hold_id, its_subject_id) ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

-- Ends a hold's claim on a subject. May be repeated.
CREATE FUNCTION keys.release(its_hold_id uuid, its_subject_id uuid)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM keys.holds WHERE subject_id = its_subject_id AND hold_id = its_hold_id
$$;

-- How many keys there are, by category and state. A fence where there never was a key is none.
CREATE OR REPLACE FUNCTION keys.counts()
RETURNS TABLE (category text, state text, number bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT category, state, count(*) FROM keys.data_keys WHERE fingerprint IS NOT NULL
    GROUP BY category, state ORDER BY category, state
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keys FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA keys TO %I', session_user);
END
$$;
RESET ROLE;
