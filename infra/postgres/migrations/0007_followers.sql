-- How far those have come that follow the log to act on it, such as the reactions.
CREATE TABLE log.followers (
    name     text   PRIMARY KEY,
    position bigint NOT NULL
);
