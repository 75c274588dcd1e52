-- Whose keys are erased is found without a look at the living ones. Rotation changes neither what it holds nor what it
-- is of, so its rows stay in place (HOT).

SET LOCAL ROLE lethe_keys;
CREATE INDEX data_keys_erased ON keys.data_keys (subject_id, category) WHERE state = 'erased';
RESET ROLE;
