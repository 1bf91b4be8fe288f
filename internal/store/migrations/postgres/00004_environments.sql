-- +goose Up

-- What an apply of environments is about to write there, noted before it does. Times are GitHub's.
CREATE TABLE environment_intents (
  project_id   UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  scope        TEXT NOT NULL CHECK (scope IN ('environment:dev', 'environment:staging', 'environment:production')),
  secret_name  VARCHAR(100) NOT NULL CHECK (secret_name ~ '^[A-Z][A-Z0-9_]*$'),
  intent_at    TIMESTAMPTZ NOT NULL,
  intent_until TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (project_id, scope, secret_name),
  CHECK (intent_until >= intent_at)
);
