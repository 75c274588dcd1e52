-- What the database knows of the erasure ledger, which is a file outside of it; and what erasures show.

CREATE SCHEMA ledger;

-- Which ledger, and its last entry that this database has seen written: a file that lacks it is an older copy.
-- Up to `settled` every entry is carried out here; what comes after it in the file is looked at.
CREATE TABLE ledger.head (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ledger_id      uuid    NOT NULL,
    written_number bigint  NOT NULL,
    written_hash   text    NOT NULL,
    settled_number bigint  NOT NULL,
    settled_hash   text    NOT NULL,
    settled_offset bigint  NOT NULL
);

ALTER TABLE directory.erasures
    ADD COLUMN categories text[] NOT NULL DEFAULT '{}',
    ADD COLUMN held boolean NOT NULL DEFAULT false,
    ADD COLUMN acknowledged_by text[] NOT NULL DEFAULT '{}',
    ADD COLUMN sealed_at timestamptz,
    ADD COLUMN sealed_epoch bigint;

-- The few events that erasures leave, so that unfinished and unsealed ones are found without reading the log.
DROP INDEX log.erasures;
CREATE INDEX erasures ON log.events (originator_id)
    WHERE topic IN ('erasure.requested', 'subject.erased', 'erasure.sealed');
CREATE INDEX erased ON log.events (position) WHERE topic = 'subject.erased';

-- Ends every hold's claim on a subject: for one that the ledger says was erased, so that no hold stood against it
-- then; the holds of a database from before it are older.
SET LOCAL ROLE lethe_keys;
CREATE FUNCTION keys.release_all(its_subject_id uuid)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM keys.holds WHERE subject_id = its_subject_id
$$;

-- Those of the subjects of whom nothing of this category is erased, locked against `shred` until the caller's
-- transaction ends: for whoever stores something that finds a person, such as a blind index row. First the locks:
-- what a tombstone says is read once nobody can set one.
DROP FUNCTION keys.hold_living(uuid[]);
CREATE FUNCTION keys.hold_living(subject_ids uuid[], its_category text)
RETURNS TABLE (subject_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM keys.subjects WHERE subject_id = ANY (subject_ids) ORDER BY subject_id FOR SHARE;
    RETURN QUERY
    SELECT subject_id FROM keys.subjects AS subject
    WHERE subject_id = ANY (subject_ids) AND erased_at IS NULL AND NOT EXISTS (
        SELECT FROM keys.data_keys AS gone
        WHERE gone.subject_id = subject.subject_id AND gone.category = its_category AND gone.state = 'erased'
    );
END
$$;

REVOKE ALL ON FUNCTION keys.release_all(uuid), keys.hold_living(uuid[], text) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION keys.release_all(uuid), keys.hold_living(uuid[], text) TO %I', session_user
    );
END
$$;
RESET ROLE;

-- The certificates that were issued, so that bundles carry them: one for each version of an erasure.
CREATE TABLE ledger.certificates (
    erasure_id uuid        NOT NULL,
    version    bigint      NOT NULL,
    note       text        NOT NULL,
    made_at    timestamptz NOT NULL,
    PRIMARY KEY (erasure_id, version)
);

-- The few events about what has left the system, for the same reason.
CREATE INDEX handed_over ON log.events (position)
    WHERE topic IN ('backup.made', 'backup.verified', 'backup.deleted', 'export.made');
