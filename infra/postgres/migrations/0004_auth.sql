-- Access tokens. Only a token's SHA-256 is kept; a token is ended, never deleted, so that what it did stays attributable.

CREATE SCHEMA auth;

CREATE TABLE auth.tokens (
    id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    name text NOT NULL,
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'erase', 'admin']),
    actor_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
