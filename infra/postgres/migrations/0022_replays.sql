-- Parts of the log that were published again, each to a topic of its own: what was asked, and how far it has come.

CREATE TABLE log.replays (
    name     text        PRIMARY KEY,
    topic    text        NOT NULL UNIQUE,
    types    text[],
    after    bigint      NOT NULL,
    until    bigint      NOT NULL CHECK (until >= after),
    position bigint      NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);

-- How far the topics of states have come, for each cluster with its topics. Absent until all states are there once.
CREATE TABLE log.state_feeds (
    place      text        PRIMARY KEY,
    position   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
