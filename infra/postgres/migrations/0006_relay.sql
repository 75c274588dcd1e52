-- How far the relay has come, for each place it publishes to: a cluster with its topics. Everything up to the
-- position is acknowledged there. It may lag behind the truth, which is what the topics hold.

CREATE TABLE log.relay (
    place      text        PRIMARY KEY,
    position   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
