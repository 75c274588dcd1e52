-- The audit trees: Merkle trees (RFC 6962) over the event log and over the access log, in tiles of 256 hashes.

CREATE SCHEMA audit;

-- What each tree has come to: so many leaves, the last one made of what is at `position`. While `fault` says
-- what is wrong, it does not grow, and nothing is signed.
CREATE TABLE audit.trees (
    log      text   PRIMARY KEY,
    size     bigint NOT NULL,
    position bigint NOT NULL,
    root     bytea  NOT NULL,
    fault    text
);

-- Hashes as in C2SP's tlog-tiles: level 0 has those of the leaves, each level above the roots of the full tiles
-- below. A tile of level 0 also tells at which positions its leaves are: 8 bytes each, like the hashes in order.
CREATE TABLE audit.tiles (
    log           text     NOT NULL,
    level         smallint NOT NULL,
    number        bigint   NOT NULL,
    last_position bigint   CHECK ((last_position IS NOT NULL) = (level = 0)),
    positions     bytea    CHECK ((positions IS NOT NULL) = (level = 0)),
    hashes        bytea    NOT NULL,
    PRIMARY KEY (log, level, number)
);
CREATE UNIQUE INDEX ON audit.tiles (log, last_position) WHERE level = 0;
ALTER TABLE audit.tiles ALTER hashes SET STORAGE EXTERNAL;  -- hashes do not compress

-- Signed checkpoints. `change` rises in order of commit, also when a witness adds its signature, so that
-- whoever takes them elsewhere knows what is new.
CREATE TABLE audit.checkpoints (
    log     text        NOT NULL,
    size    bigint      NOT NULL,
    root    bytea       NOT NULL,
    note    text        NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    change  bigint      NOT NULL UNIQUE,
    PRIMARY KEY (log, size)
);
CREATE SEQUENCE audit.changes AS bigint OWNED BY audit.checkpoints.change;

-- How far the checkpoints were taken to each place outside (a Kafka cluster and its topic).
CREATE TABLE audit.published (
    place  text   PRIMARY KEY,
    change bigint NOT NULL
);
