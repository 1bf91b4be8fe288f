-- +goose Up

-- What an apply of environments is about to write there, noted before it does. Times are GitHub's.
CREATE TABLE environment_intents (
  project_id   TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  scope        TEXT NOT NULL CHECK (scope IN ('environment:dev', 'environment:staging', 'environment:production')),
  secret_name  TEXT NOT NULL CHECK (secret_name GLOB '[A-Z]*' AND secret_name NOT GLOB '*[^A-Z0-9_]*' AND length(secret_name) <= 100),
  intent_at    timestamp NOT NULL CHECK (typeof(intent_at) = 'integer'),
  intent_until timestamp NOT NULL CHECK (typeof(intent_until) = 'integer'),
  PRIMARY KEY (project_id, scope, secret_name),
  CHECK (intent_until >= intent_at)
);
