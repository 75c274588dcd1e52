-- A subscriber's scope: follow the feed, open what is granted, acknowledge erasures.
ALTER TABLE auth.tokens DROP CONSTRAINT tokens_scopes_check;
ALTER TABLE auth.tokens ADD CONSTRAINT tokens_scopes_check
    CHECK (scopes <@ ARRAY['read', 'write', 'erase', 'comply', 'admin', 'subscribe']);

-- Who follows the events, and may open what. No such event was written before: the view starts where it is.
CREATE TABLE rights.subscribers (
    id            uuid        PRIMARY KEY,
    subject_id    uuid        NOT NULL,
    version       bigint      NOT NULL,
    position      bigint      NOT NULL,
    name          text        NOT NULL,
    purpose       text        NOT NULL,
    registered_at timestamptz NOT NULL,
    ended_at      timestamptz,
    grants        jsonb       NOT NULL
);

-- Certificates name subscribers, too: as the log knows them, for a view may be behind.
DROP INDEX log.handed_over;
CREATE INDEX handed_over ON log.events (position)
    WHERE topic IN (
        'backup.made', 'backup.verified', 'backup.deleted', 'export.made',
        'subscriber.registered', 'subscriber.granted', 'subscriber.ended'
    );
