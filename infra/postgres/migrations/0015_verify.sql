-- For whoever verifies the key store against the log: what there is of each subject, page by page, secrets left out.

SET LOCAL ROLE lethe_keys;

-- Subjects after this one, in order, with the keys that they have or had; with `only_erased` those of whom something
-- is erased. A key whose subject is unknown comes too.
CREATE FUNCTION keys.look(after_subject_id uuid, only_erased boolean, page integer)
RETURNS TABLE (
    subject_id uuid, known boolean, erased boolean, categories text[], states text[], fingerprints bytea[]
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT it.subject_id, subject.subject_id IS NOT NULL, subject.erased_at IS NOT NULL,
           array_remove(array_agg(kept.category ORDER BY kept.category), NULL),
           array_remove(array_agg(kept.state ORDER BY kept.category), NULL),
           coalesce(array_agg(kept.fingerprint ORDER BY kept.category) FILTER (WHERE kept.category IS NOT NULL), '{}')
    FROM (
        SELECT subject_id FROM (
            SELECT subject_id FROM keys.subjects
            WHERE subject_id > after_subject_id AND (erased_at IS NOT NULL OR NOT only_erased)
            UNION
            SELECT subject_id FROM keys.data_keys
            WHERE subject_id > after_subject_id AND (state = 'erased' OR NOT only_erased)
        ) AS named ORDER BY subject_id LIMIT page
    ) AS it
    LEFT JOIN keys.subjects AS subject ON subject.subject_id = it.subject_id
    LEFT JOIN keys.data_keys AS kept ON kept.subject_id = it.subject_id
    GROUP BY it.subject_id, subject.subject_id, subject.erased_at
    ORDER BY it.subject_id
$$;

-- Which keys of its own the system has.
CREATE FUNCTION keys.system_names()
RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT name FROM keys.system_keys ORDER BY name
$$;

REVOKE ALL ON FUNCTION keys.look(uuid, boolean, integer), keys.system_names() FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION keys.look(uuid, boolean, integer), keys.system_names() TO %I', session_user
    );
END
$$;
RESET ROLE;
