-- A subscriber's scope: follow the feed, open what is granted, acknowledge erasures.
ALTER TABLE auth.tokens DROP CONSTRAINT tokens_scopes_check;
ALTER TABLE auth.tokens ADD CONSTRAINT tokens_scopes_check
    CHECK (scopes <@ ARRAY['read', 'write', 'erase', 'comply', 'admin', 'subscribe']);
