-- Reads at speed: what has to be heeded is asked with one value, keys come together with it, and every filter of a
-- list has an index.

SET LOCAL ROLE lethe_keys;

-- Another value after every erasure and restriction, and every lifting of one, of anybody: whoever found nothing to
-- heed of somebody at a mark need not ask again while it is the same. By chance, not counted: the mark of a database
-- that was restored never comes again with other standings behind it.
CREATE TABLE keys.marks (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    mark     bigint NOT NULL
);
INSERT INTO keys.marks (mark) VALUES (hashtextextended(gen_random_uuid()::text, 0));

CREATE FUNCTION keys.mark()
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT mark FROM keys.marks
$$;

CREATE FUNCTION keys.turn_mark()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE keys.marks SET mark = hashtextextended(gen_random_uuid()::text, 0);
    RETURN NULL;
END
$$;

-- Whatever erases or restricts comes to one of these statements, whether it changes a row or not; minting and
-- rotating come to neither.
CREATE TRIGGER marked AFTER UPDATE OF erased_at, restricted ON keys.subjects
    FOR EACH STATEMENT EXECUTE FUNCTION keys.turn_mark();
CREATE TRIGGER marked AFTER UPDATE OF state ON keys.data_keys
    FOR EACH STATEMENT EXECUTE FUNCTION keys.turn_mark();

-- Everything there is of some people, to open what is sealed for them: what has to be heeded, and their keys. A row a
-- key, or one without for who has none; no row for whom nothing was ever sealed and no fence is up.
CREATE FUNCTION keys.open(people uuid[])
RETURNS TABLE (
    subject_id uuid, erased boolean, restricted boolean, held boolean, oldest integer,
    category text, state text, fingerprint bytea, wrapped bytea, epoch integer
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    oldest_epoch integer := (SELECT min(number) FROM keys.epochs WHERE ended_at IS NULL);
BEGIN
    RETURN QUERY
    SELECT subject.subject_id, subject.erased_at IS NOT NULL, subject.restricted,
           EXISTS (SELECT FROM keys.holds AS hold WHERE hold.subject_id = subject.subject_id), oldest_epoch,
           kept.category, kept.state, kept.fingerprint, kept.wrapped, kept.epoch
    FROM keys.subjects AS subject LEFT JOIN keys.data_keys AS kept ON kept.subject_id = subject.subject_id
    WHERE subject.subject_id = ANY (people);
END
$$;

REVOKE ALL ON FUNCTION keys.mark(), keys.turn_mark(), keys.open(uuid[]) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION keys.mark(), keys.open(uuid[]) TO %I', session_user);
END
$$;
RESET ROLE;

-- Lists go on from an id, filtered: an index has those that pass in that order. To walk on until fifty have passed may
-- be a walk through everything: an import puts a million of one kind before the first of another.
CREATE INDEX ON directory.customers (owner_id, id) WHERE owner_id IS NOT NULL;
CREATE INDEX ON directory.customers (kind, id);
CREATE INDEX ON directory.customers (country, id) WHERE country IS NOT NULL;
CREATE INDEX ON directory.customers (sector, id) WHERE sector IS NOT NULL;
CREATE INDEX ON directory.customers (segment, id) WHERE segment IS NOT NULL;
CREATE INDEX ON directory.customers USING gin (tags);
CREATE INDEX ON directory.customers (id) WHERE archived;
CREATE INDEX ON pipeline.leads (owner_id, id) WHERE owner_id IS NOT NULL;
CREATE INDEX ON pipeline.leads (stage, id);
CREATE INDEX ON pipeline.leads (campaign, id) WHERE campaign IS NOT NULL;
CREATE INDEX ON pipeline.leads (source, id);
CREATE INDEX ON pipeline.leads (product, id) WHERE product IS NOT NULL;
CREATE INDEX ON pipeline.leads (country, id) WHERE country IS NOT NULL;
CREATE INDEX ON pipeline.leads (currency, id) WHERE currency IS NOT NULL;
CREATE INDEX ON tickets.tickets (team, id) WHERE team IS NOT NULL;
CREATE INDEX ON tickets.tickets (agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX ON tickets.tickets (product, id) WHERE product IS NOT NULL;
CREATE INDEX ON tickets.tickets (id) WHERE status IN ('open', 'waiting');
