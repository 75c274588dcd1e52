-- Key-encryption keys in epochs; marks on data subjects (restricted, held); erasure of some categories only.

SET LOCAL ROLE lethe_keys;

-- One key-encryption key after the other. The highest number is the epoch that keys are minted in. An earlier one is
-- emptied once no key is wrapped under it any more, ended once its KEK is destroyed, and sealed once the log says so.
-- `canary` is a value that only the epoch's own KEK opens.
CREATE TABLE keys.epochs (
    number     integer PRIMARY KEY CHECK (number > 0),
    kek_id     text NOT NULL UNIQUE,
    canary     bytea NOT NULL,
    began_at   timestamptz NOT NULL,
    emptied_at timestamptz,
    ended_at   timestamptz CHECK (emptied_at IS NOT NULL OR ended_at IS NULL),
    sealed_at  timestamptz CHECK (ended_at IS NOT NULL OR sealed_at IS NULL)
);
INSERT INTO keys.epochs (number, kek_id, canary, began_at) SELECT 1, kek_id, canary, founded_at FROM keys.meta;
ALTER TABLE keys.meta DROP COLUMN kek_id, DROP COLUMN canary;

-- The epoch under whose KEK a key is wrapped; of an erased key, the last one. No index on it, and room in each page:
-- so a rotation finds place for the new row beside the old one, and touches no index (HOT).
ALTER TABLE keys.data_keys ADD COLUMN epoch integer DEFAULT 1;
ALTER TABLE keys.data_keys ALTER COLUMN epoch DROP DEFAULT, ADD CHECK (state = 'erased' OR epoch IS NOT NULL);
ALTER TABLE keys.data_keys SET (fillfactor = 50);
ALTER TABLE keys.system_keys ADD COLUMN epoch integer NOT NULL DEFAULT 1;
ALTER TABLE keys.system_keys ALTER COLUMN epoch DROP DEFAULT;

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

DROP FUNCTION keys.identity();
DROP FUNCTION keys.found(text, text, bytea);
DROP FUNCTION keys.provide_system_key(text, bytea, bytea);
DROP FUNCTION keys.provide(uuid[], text[], bytea[], bytea[]);
DROP FUNCTION keys.fetch(uuid[], text[]);
DROP FUNCTION keys.of_subject(uuid);
DROP FUNCTION keys.shred(uuid);

-- Whose key store it is; no row while it is not founded.
CREATE FUNCTION keys.identity()
RETURNS TABLE (namespace text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT namespace FROM keys.meta
$$;

-- Whoever comes first founds it.
CREATE FUNCTION keys.found(its_namespace text, its_kek_id text, its_canary bytea)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO keys.meta (namespace) VALUES (its_namespace) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO keys.epochs (number, kek_id, canary, began_at)
        VALUES (1, its_kek_id, its_canary, clock_timestamp());
    END IF;
END
$$;

-- All epochs that there ever were, oldest first.
CREATE FUNCTION keys.all_epochs()
RETURNS SETOF keys.epochs
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM keys.epochs ORDER BY number
$$;

-- Who mints holds this lock until the end of its transaction, shared; who begins an epoch waits for all of them, and
-- they for it: so after an epoch has begun, none commits a key that is wrapped under an earlier one.
CREATE FUNCTION keys.epoch_to_mint_in()
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'6C657468650004'::bigint);
    RETURN (SELECT max(number) FROM keys.epochs);
END
$$;

-- Begins the epoch after `its_last`; no row where that is not the last any more.
CREATE FUNCTION keys.begin_epoch(its_last integer, its_kek_id text, its_canary bytea)
RETURNS SETOF keys.epochs
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'6C657468650004'::bigint);
    RETURN QUERY
    INSERT INTO keys.epochs (number, kek_id, canary, began_at)
    SELECT its_last + 1, its_kek_id, its_canary, clock_timestamp()
    WHERE its_last = (SELECT max(number) FROM keys.epochs)
    RETURNING *;
END
$$;

-- Up to `its_limit` keys wrapped under the epoch, in the order of their names, after this one.
CREATE FUNCTION keys.wrapped_under(its_epoch integer, after_subject_id uuid, after_category text, its_limit integer)
RETURNS TABLE (subject_id uuid, category text, fingerprint bytea, wrapped bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT subject_id, category, fingerprint, wrapped FROM keys.data_keys
    WHERE (subject_id, category) > (after_subject_id, after_category) AND state = 'active' AND epoch = its_epoch
    ORDER BY subject_id, category
    LIMIT its_limit;
END
$$;

-- Puts the keys under another epoch; how many. One that was erased meanwhile stays erased. `names` come in order, and
-- rows are locked in that order, as by `shred`.
CREATE FUNCTION keys.rewrap(old_epoch integer, new_epoch integer, subject_ids uuid[], categories text[], wrappings bytea[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    number bigint;
BEGIN
    UPDATE keys.data_keys AS kept SET wrapped = new.wrapped, epoch = new_epoch
    FROM unnest(subject_ids, categories, wrappings) AS new (subject_id, category, wrapped)
    WHERE kept.subject_id = new.subject_id AND kept.category = new.category
      AND kept.state = 'active' AND kept.epoch = old_epoch;
    GET DIAGNOSTICS number = ROW_COUNT;
    RETURN number;
END
$$;

CREATE FUNCTION keys.system_wrapped_under(its_epoch integer)
RETURNS TABLE (name text, fingerprint bytea, wrapped bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT name, fingerprint, wrapped FROM keys.system_keys WHERE epoch = its_epoch ORDER BY name
$$;

CREATE FUNCTION keys.rewrap_system(old_epoch integer, new_epoch integer, its_name text, its_wrapped bytea)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE keys.system_keys SET wrapped = its_wrapped, epoch = new_epoch WHERE name = its_name AND epoch = old_epoch
$$;

-- Keys by epoch: those wrapped under it, and those erased that were. Keys of the system's own are in state `system`.
CREATE FUNCTION keys.by_epoch()
RETURNS TABLE (epoch integer, state text, number bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT epoch, state, count(*) FROM keys.data_keys WHERE fingerprint IS NOT NULL GROUP BY epoch, state
    UNION ALL
    SELECT epoch, 'system', count(*) FROM keys.system_keys GROUP BY epoch
    ORDER BY 1, 2
$$;

-- What should not be, and how often it is.
CREATE FUNCTION keys.odd()
RETURNS TABLE (what text, number bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM (
        SELECT 'living keys of erased subjects', count(*)
        FROM keys.data_keys AS kept JOIN keys.subjects AS subject USING (subject_id)
        WHERE kept.state = 'active' AND subject.erased_at IS NOT NULL
        UNION ALL
        SELECT 'keys of subjects that are not listed', count(*)
        FROM keys.data_keys AS kept
        WHERE NOT EXISTS (SELECT FROM keys.subjects AS subject WHERE subject.subject_id = kept.subject_id)
        UNION ALL
        SELECT 'keys wrapped under a KEK that is destroyed, or was never known', count(*)
        FROM (
            SELECT epoch FROM keys.data_keys WHERE state = 'active' UNION ALL SELECT epoch FROM keys.system_keys
        ) AS wrapped
        WHERE NOT EXISTS (
            SELECT FROM keys.epochs AS living WHERE living.number = wrapped.epoch AND living.ended_at IS NULL
        )
        UNION ALL
        SELECT 'holds on erased subjects', count(*)
        FROM keys.holds JOIN keys.subjects AS subject USING (subject_id)
        WHERE subject.erased_at IS NOT NULL
    ) AS found (what, number)
    WHERE number > 0
$$;

-- How many keys are still wrapped under the epoch. Where it is none, and the epoch is not the last, it is emptied:
-- nothing is minted in it any more, so that stays true.
CREATE FUNCTION keys.empty_epoch(its_number integer)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    remaining bigint;
BEGIN
    remaining := (SELECT count(*) FROM keys.data_keys WHERE state = 'active' AND epoch = its_number)
               + (SELECT count(*) FROM keys.system_keys WHERE epoch = its_number);
    UPDATE keys.epochs SET emptied_at = clock_timestamp()
    WHERE remaining = 0 AND number = its_number AND emptied_at IS NULL
      AND number < (SELECT max(number) FROM keys.epochs);
    RETURN remaining;
END
$$;

-- The emptied epoch's KEK is destroyed.
CREATE FUNCTION keys.end_epoch(its_number integer)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE keys.epochs SET ended_at = clock_timestamp() WHERE number = its_number AND ended_at IS NULL
$$;

-- The log says of what the ended epoch's KEK was the last to open, that nothing opens it now.
CREATE FUNCTION keys.seal_epoch(its_number integer)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE keys.epochs SET sealed_at = clock_timestamp() WHERE number = its_number AND sealed_at IS NULL
$$;

-- Erased keys of these subjects that an old copy of this store may still hold under a KEK that exists.
CREATE FUNCTION keys.unsealed(subject_ids uuid[])
RETURNS TABLE (subject_id uuid, category text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT subject_id, category FROM keys.data_keys
    WHERE subject_id = ANY (subject_ids) AND state = 'erased'
      AND epoch >= (SELECT min(number) FROM keys.epochs WHERE ended_at IS NULL);
END
$$;

-- The system's own key of this name; the offered one, wrapped under this epoch's KEK, where there is none yet. Minted
-- in another epoch than the offer's, there is none after it either.
CREATE FUNCTION keys.provide_system_key(its_name text, its_epoch integer, its_fingerprint bytea, its_wrapped bytea)
RETURNS TABLE (fingerprint bytea, wrapped bytea, epoch integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    present integer := keys.epoch_to_mint_in();
BEGIN
    INSERT INTO keys.system_keys (name, fingerprint, wrapped, epoch)
    SELECT its_name, its_fingerprint, its_wrapped, its_epoch WHERE its_epoch = present
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT fingerprint, wrapped, epoch FROM keys.system_keys WHERE name = its_name;
END
$$;

-- Keys to seal with. Those that do not exist are taken from the offered ones, which are wrapped under this epoch's
-- KEK: unless the subject or the category is erased, or another epoch is the present one. An offer may be null where
-- the key is known to exist. The subjects stay locked against `shred` and `restrict`, and the epoch stays the
-- present one, until the caller's transaction ends. Locks are taken in one order everywhere, so that writers never
-- wait in a circle.
-- The planner is held to the indexes: a plan made while the tables are empty is kept for the connection's life.
CREATE FUNCTION keys.provide(
    its_epoch integer, subject_ids uuid[], categories text[], fingerprints bytea[], wrappings bytea[]
)
RETURNS TABLE (
    present integer, subject_id uuid, category text, erased boolean, restricted boolean, fingerprint bytea,
    wrapped bytea, epoch integer
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    present_epoch integer := keys.epoch_to_mint_in();
BEGIN
    INSERT INTO keys.subjects (subject_id)
    SELECT DISTINCT wanted FROM unnest(subject_ids) AS wanted ORDER BY wanted
    ON CONFLICT DO NOTHING;

    PERFORM FROM keys.subjects WHERE subject_id = ANY (subject_ids) ORDER BY subject_id FOR SHARE;

    INSERT INTO keys.data_keys (subject_id, category, fingerprint, wrapped, epoch)
    SELECT offer.subject_id, offer.category, offer.fingerprint, offer.wrapped, its_epoch
    FROM unnest(subject_ids, categories, fingerprints, wrappings)
        AS offer (subject_id, category, fingerprint, wrapped)
    JOIN keys.subjects AS subject ON subject.subject_id = offer.subject_id
    WHERE subject.erased_at IS NULL AND offer.wrapped IS NOT NULL AND its_epoch = present_epoch
    ORDER BY offer.subject_id, offer.category
    ON CONFLICT DO NOTHING;

    RETURN QUERY
    SELECT present_epoch, wanted.subject_id, wanted.category,
           subject.erased_at IS NOT NULL OR coalesce(kept.state = 'erased', false),
           subject.restricted, kept.fingerprint, kept.wrapped, kept.epoch
    FROM unnest(subject_ids, categories) AS wanted (subject_id, category)
    JOIN keys.subjects AS subject ON subject.subject_id = wanted.subject_id
    LEFT JOIN keys.data_keys AS kept
        ON kept.subject_id = wanted.subject_id AND kept.category = wanted.category;
END
$$;

-- Keys to open with: no row where there never was one. `oldest` is the earliest epoch that is not ended.
CREATE FUNCTION keys.fetch(subject_ids uuid[], categories text[])
RETURNS TABLE (
    oldest integer, subject_id uuid, category text, state text, fingerprint bytea, wrapped bytea, epoch integer
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    oldest_epoch integer := (SELECT min(number) FROM keys.epochs WHERE ended_at IS NULL);
BEGIN
    RETURN QUERY
    SELECT oldest_epoch, kept.subject_id, kept.category, kept.state, kept.fingerprint, kept.wrapped, kept.epoch
    FROM unnest(subject_ids, categories) AS wanted (subject_id, category)
    JOIN keys.data_keys AS kept
        ON kept.subject_id = wanted.subject_id AND kept.category = wanted.category;
END
$$;

-- One subject's keys: every category that ever had one.
CREATE FUNCTION keys.of_subject(its_subject_id uuid)
RETURNS TABLE (category text, state text, fingerprint bytea, wrapped bytea, epoch integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT category, state, fingerprint, wrapped, epoch FROM keys.data_keys WHERE subject_id = its_subject_id
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

    -- In order, for a rotation may be re-wrapping them.
    PERFORM FROM keys.data_keys WHERE subject_id = its_subject_id ORDER BY category FOR UPDATE;
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
    EXECUTE format('GRANT MAINTAIN ON keys.data_keys TO %I', session_user); -- to vacuum after a rotation
END
$$;
RESET ROLE;
