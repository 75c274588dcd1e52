-- Where deciding on a long record may start: its aggregate as it stood after the event of that version.
--
-- Derived from the log alone, and thrown away at will. Unlogged, therefore: it costs no write-ahead log, is in no
-- backup and on no standby, and is empty after a crash.
CREATE UNLOGGED TABLE log.snapshots (
    originator_id uuid   PRIMARY KEY,
    version       bigint NOT NULL,
    -- Which sources made it: another release's are passed by.
    form          bytea  NOT NULL,
    -- JSON: public facts only.
    state         bytea  NOT NULL,
    -- HMAC over all of it and over the stored bytes of the event of that version.
    seal          bytea  NOT NULL
);
