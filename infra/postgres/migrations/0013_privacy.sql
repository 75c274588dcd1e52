-- The privacy officer's scope: see and do what people's rights ask for.
ALTER TABLE auth.tokens DROP CONSTRAINT tokens_scopes_check;
ALTER TABLE auth.tokens ADD CONSTRAINT tokens_scopes_check
    CHECK (scopes <@ ARRAY['read', 'write', 'erase', 'comply', 'admin']);
