-- Views that never stop: records that a view cannot go on with wait apart, and each view's tables have a form.

-- A record whose event a view could not digest: that event, and all later ones of the record, are held back
-- from this view until it is retried or the event is skipped. What went wrong is named by its class and its
-- place in the program, never by its text. `view` may also be another follower's name, such as 'reactions'.
CREATE TABLE views.dead_letters (
    view          text        NOT NULL,
    originator_id uuid        NOT NULL,
    version       bigint      NOT NULL,
    position      bigint      NOT NULL,
    topic         text        NOT NULL,
    error         text        NOT NULL,
    place         text        NOT NULL,
    parked_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (originator_id, view)
);

-- Events that somebody decided to go on without, who that was, and why: kept for good.
CREATE TABLE views.skipped (
    view          text        NOT NULL,
    originator_id uuid        NOT NULL,
    version       bigint      NOT NULL,
    position      bigint      NOT NULL,
    topic         text        NOT NULL,
    error         text        NOT NULL,
    place         text        NOT NULL,
    skipped_at    timestamptz NOT NULL DEFAULT now(),
    actor         text        NOT NULL,
    reason        text        NOT NULL,
    PRIMARY KEY (originator_id, view, version)
);

-- What the program writes there is text; a fixed length is none of the view's business.
ALTER TABLE pipeline.leads ALTER COLUMN currency TYPE text;

-- In which form each view's live tables are: the number and the fingerprint of the program that built them.
-- No row: as the migrations made them. `damage`: what was found to be wrong with them; they are built anew.
-- `filled`: tables that were seen to hold rows. They never become empty again by themselves.
CREATE TABLE views.built (
    view        text        PRIMARY KEY,
    version     bigint      NOT NULL,
    fingerprint text        NOT NULL,
    built_at    timestamptz NOT NULL DEFAULT now(),
    damage      text,
    filled      text[]      NOT NULL DEFAULT '{}'
);
