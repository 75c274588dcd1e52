-- Minting for people who are new, as an import and most creations do it, takes less: nothing is locked or looked up that
-- this very transaction has made.

SET LOCAL ROLE lethe_keys;

-- Keys to seal with. Those that do not exist are taken from the offered ones, unless the subject or the category is
-- erased, or the offer is of another epoch; an offer may be null where the key is known to exist. The subjects stay
-- locked against `shred` and `restrict` until the caller's transaction ends. Locks are taken in one order everywhere, so
-- that writers never wait in a circle. One row without a subject says that every offer was taken.
-- The planner is held to the indexes: a plan made while the tables are empty is kept for the connection's life.
CREATE OR REPLACE FUNCTION keys.provide(
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
    are_new bigint;
    minted bigint;
BEGIN
    INSERT INTO keys.subjects (subject_id)
    SELECT DISTINCT wanted FROM unnest(subject_ids) AS wanted ORDER BY wanted
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS are_new = ROW_COUNT;

    -- A row that this transaction has made is locked by that: who erases or restricts makes it first, and so waits.
    IF are_new = (SELECT count(DISTINCT wanted) FROM unnest(subject_ids) AS wanted) AND its_epoch = present_epoch THEN
        INSERT INTO keys.data_keys (subject_id, category, fingerprint, wrapped, epoch)
        SELECT offer.subject_id, offer.category, offer.fingerprint, offer.wrapped, its_epoch
        FROM unnest(subject_ids, categories, fingerprints, wrappings)
            AS offer (subject_id, category, fingerprint, wrapped)
        WHERE offer.wrapped IS NOT NULL
        ORDER BY offer.subject_id, offer.category
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS minted = ROW_COUNT;
        IF minted = cardinality(subject_ids) THEN
            present := present_epoch;
            RETURN NEXT;
            RETURN;
        END IF;
    ELSE
        PERFORM FROM keys.subjects WHERE subject_id = ANY (subject_ids) ORDER BY subject_id FOR SHARE;

        INSERT INTO keys.data_keys (subject_id, category, fingerprint, wrapped, epoch)
        SELECT offer.subject_id, offer.category, offer.fingerprint, offer.wrapped, its_epoch
        FROM unnest(subject_ids, categories, fingerprints, wrappings)
            AS offer (subject_id, category, fingerprint, wrapped)
        JOIN keys.subjects AS subject ON subject.subject_id = offer.subject_id
        WHERE subject.erased_at IS NULL AND offer.wrapped IS NOT NULL AND its_epoch = present_epoch
        ORDER BY offer.subject_id, offer.category
        ON CONFLICT DO NOTHING;
    END IF;

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

RESET ROLE;
