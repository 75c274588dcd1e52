-- Webhooks: the secrets that sign, and how far each endpoint is. Who and where is in the log.

-- So that whoever sends finds what he has to send to without reading the whole log.
CREATE INDEX webhooks ON log.events (originator_id, originator_version) WHERE topic LIKE 'webhook.%';

CREATE SCHEMA webhooks;

-- Each in a box under the system's own key, bound to its place.
CREATE TABLE webhooks.secrets (
    webhook_id uuid    NOT NULL,
    number     integer NOT NULL,
    box        bytea   NOT NULL,
    PRIMARY KEY (webhook_id, number)
);

-- Everything up to the cursor has arrived, what is blocked excepted.
CREATE TABLE webhooks.deliveries (
    webhook_id      uuid   PRIMARY KEY,
    begun           bigint NOT NULL,  -- the position of the event that said where to begin
    revived         bigint NOT NULL,  -- that of the event that last said to try again
    cursor          bigint NOT NULL,
    last_status     smallint,
    last_fault      text,
    last_attempt_at timestamptz,
    last_success_at timestamptz
);

-- An aggregate whose event of this version did not arrive yet: its later ones wait behind it.
CREATE TABLE webhooks.blocked (
    webhook_id      uuid        NOT NULL REFERENCES webhooks.deliveries ON DELETE CASCADE,
    originator_id   uuid        NOT NULL,
    version         bigint      NOT NULL,
    position        bigint      NOT NULL,
    attempts        integer     NOT NULL,
    failed_since    timestamptz,
    next_attempt_at timestamptz NOT NULL,
    of_endpoint     boolean     NOT NULL,
    PRIMARY KEY (webhook_id, originator_id)
);
