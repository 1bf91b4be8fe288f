-- +goose Up

-- The same tables as PostgreSQL's. What is a type there is a CHECK here: a time is an integer of
-- microseconds, a boolean 0 or 1, an id 36 characters. Sets are spelled as PostgreSQL spells an
-- array, {actions,codespaces}; either all members of one are quoted or none is, so that a trigger
-- can turn it into JSON.

PRAGMA application_id = 1329812556; -- 'OCSL': the file is ours

CREATE TABLE users (
  id             TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  login          TEXT NOT NULL CHECK (login <> '') CHECK (length(login) <= 100),
  display_name   TEXT NOT NULL,
  kind           TEXT NOT NULL CHECK (kind IN ('human', 'system')),
  is_admin       BOOLEAN NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
  deactivated_at timestamp CHECK (typeof(deactivated_at) IN ('integer', 'null')),
  created_at     timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at     timestamp NOT NULL CHECK (typeof(updated_at) = 'integer')
);
CREATE UNIQUE INDEX idx_users_login ON users (lower(login));

CREATE TABLE projects (
  id                  TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  name                TEXT NOT NULL CHECK (name <> ''),
  slug                TEXT NOT NULL CHECK (slug GLOB '[a-z0-9]*' AND slug NOT GLOB '*[^a-z0-9-]*') CHECK (length(slug) <= 200),
  api_host            TEXT NOT NULL CHECK (api_host <> ''),
  owner               TEXT NOT NULL CHECK (owner <> ''),
  repo                TEXT NOT NULL CHECK (repo <> ''),
  repository_id       INTEGER NOT NULL CHECK (repository_id > 0) CHECK (typeof(repository_id) = 'integer'),
  default_branch      TEXT NOT NULL DEFAULT '',
  installation_id     INTEGER CHECK (typeof(installation_id) IN ('integer', 'null')),
  value_source        TEXT NOT NULL DEFAULT '' CHECK (value_source IN ('', 'relay') OR value_source LIKE 'source:_%'),
  auto_sync           BOOLEAN NOT NULL DEFAULT 0 CHECK (auto_sync IN (0, 1)),
  sync_interval       INTEGER NOT NULL DEFAULT 0 CHECK (sync_interval >= 0) CHECK (typeof(sync_interval) = 'integer'), -- milliseconds; 0 is the server's own
  adopt               TEXT NOT NULL DEFAULT '' CHECK (adopt IN ('', 'overwrite', 'keep')),
  default_reviewer_id INTEGER CHECK (typeof(default_reviewer_id) IN ('integer', 'null')),
  archived_at         timestamp CHECK (typeof(archived_at) IN ('integer', 'null')),
  created_at          timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at          timestamp NOT NULL CHECK (typeof(updated_at) = 'integer')
);
CREATE UNIQUE INDEX idx_projects_repository ON projects (api_host, repository_id) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX idx_projects_slug ON projects (slug) WHERE archived_at IS NULL;
CREATE INDEX idx_projects_full_name ON projects (api_host, lower(owner), lower(repo)) WHERE archived_at IS NULL;

CREATE TABLE project_members (
  project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  role       TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin')),
  created_at timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  PRIMARY KEY (project_id, user_id)
);
CREATE INDEX idx_project_members_user ON project_members (user_id);

CREATE TABLE api_tokens (
  id           TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  project_id   TEXT REFERENCES projects (id) ON DELETE CASCADE,
  role         TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin')),
  name         TEXT NOT NULL DEFAULT '',
  token_hash   TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64 AND token_hash NOT GLOB '*[^0-9a-f]*'),
  expires_at   timestamp NOT NULL CHECK (typeof(expires_at) = 'integer'),
  last_used_at timestamp CHECK (typeof(last_used_at) IN ('integer', 'null')),
  revoked_at   timestamp CHECK (typeof(revoked_at) IN ('integer', 'null')),
  created_at   timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at   timestamp NOT NULL CHECK (typeof(updated_at) = 'integer')
);
CREATE INDEX idx_api_tokens_user ON api_tokens (user_id);
CREATE INDEX idx_api_tokens_project ON api_tokens (project_id);

CREATE TABLE environments (
  id                     TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id             TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  name                   TEXT NOT NULL CHECK (name <> '') CHECK (length(name) <= 255),
  kind                   TEXT NOT NULL CHECK (kind IN ('core', 'preview')),
  github_environment_id  INTEGER CHECK (typeof(github_environment_id) IN ('integer', 'null')),
  secrets_last_synced_at timestamp CHECK (typeof(secrets_last_synced_at) IN ('integer', 'null')),
  sync_status            TEXT CHECK (sync_status IN ('pending', 'synced', 'failed')),
  created_at             timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at             timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  UNIQUE (project_id, name),
  CHECK (kind <> 'core' OR name IN ('dev', 'staging', 'production')),
  CHECK (kind <> 'preview' OR github_environment_id IS NULL)
);

CREATE TABLE sync_runs (
  id            TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'), -- the correlation id
  project_id    TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  actor_id      TEXT NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  trigger       TEXT NOT NULL CHECK (trigger IN ('manual', 'schedule', 'poll', 'webhook', 'relay')),
  state         TEXT NOT NULL
                CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'partial', 'failed', 'abandoned')),
  credential    TEXT NOT NULL DEFAULT '', -- its name, never itself
  started_at    timestamp NOT NULL CHECK (typeof(started_at) = 'integer'),
  finished_at   timestamp CHECK (typeof(finished_at) IN ('integer', 'null')),
  heartbeat_at  timestamp NOT NULL CHECK (typeof(heartbeat_at) = 'integer'),
  alive_at      timestamp CHECK (typeof(alive_at) IN ('integer', 'null')), -- GitHub's clock at the last heartbeat
  total         INTEGER NOT NULL DEFAULT 0 CHECK (total >= 0) CHECK (typeof(total) = 'integer'),
  synced        INTEGER NOT NULL DEFAULT 0 CHECK (synced >= 0) CHECK (typeof(synced) = 'integer'),
  skipped       INTEGER NOT NULL DEFAULT 0 CHECK (skipped >= 0) CHECK (typeof(skipped) = 'integer'),
  failed        INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0) CHECK (typeof(failed) = 'integer'),
  writes        INTEGER NOT NULL DEFAULT 0 CHECK (writes >= 0) CHECK (typeof(writes) = 'integer'),
  error_code    TEXT NOT NULL DEFAULT '' CHECK (length(error_code) <= 60),
  error_message TEXT NOT NULL DEFAULT '',
  options_hash  TEXT NOT NULL DEFAULT '' CHECK (length(options_hash) IN (0, 64) AND options_hash NOT GLOB '*[^0-9a-f]*'),
  result        TEXT CHECK (json_valid(result)),
  updated_at    timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  CHECK ((finished_at IS NULL) = (state IN ('queued', 'running', 'waiting')))
);
CREATE INDEX idx_sync_runs_project ON sync_runs (project_id, started_at DESC);
CREATE INDEX idx_sync_runs_success ON sync_runs (project_id, finished_at DESC) WHERE state IN ('succeeded', 'partial');
CREATE INDEX idx_sync_runs_credential ON sync_runs (credential, heartbeat_at);
CREATE INDEX idx_sync_runs_queued ON sync_runs (project_id, actor_id, options_hash) WHERE state = 'queued';
CREATE INDEX idx_sync_runs_finished ON sync_runs (finished_at);

CREATE TABLE run_leases (
  project_id   TEXT PRIMARY KEY NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  lease_id     TEXT NOT NULL CHECK (lease_id GLOB '????????-????-????-????-????????????' AND lease_id NOT GLOB '*[^0-9a-f-]*'), -- of this one acquisition: a run that is started twice has two
  run_id       TEXT NOT NULL CHECK (run_id GLOB '????????-????-????-????-????????????' AND run_id NOT GLOB '*[^0-9a-f-]*'),
  holder       TEXT NOT NULL,
  locked       BOOLEAN NOT NULL CHECK (locked IN (0, 1)), -- the holder holds the lock file as well
  acquired_at  timestamp NOT NULL CHECK (typeof(acquired_at) = 'integer'),
  heartbeat_at timestamp NOT NULL CHECK (typeof(heartbeat_at) = 'integer'),
  lapse_ms     INTEGER NOT NULL CHECK (lapse_ms > 0) CHECK (typeof(lapse_ms) = 'integer'),
  grace_ms     INTEGER NOT NULL CHECK (grace_ms > 0) CHECK (typeof(grace_ms) = 'integer'),
  CHECK (heartbeat_at >= acquired_at)
);

CREATE TABLE secret_mappings (
  id             TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id     TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  secret_name    TEXT NOT NULL CHECK (secret_name GLOB '[A-Z]*' AND secret_name NOT GLOB '*[^A-Z0-9_]*') CHECK (length(secret_name) <= 100),
  value_hash     TEXT NOT NULL CHECK (length(value_hash) = 64 AND value_hash NOT GLOB '*[^0-9a-f]*'),
  hash_key_id    TEXT NOT NULL DEFAULT '' CHECK (length(hash_key_id) <= 64),
  source_scope   TEXT NOT NULL DEFAULT 'actions' CHECK (source_scope = 'actions'),
  target_scopes  TEXT NOT NULL CHECK (target_scopes GLOB '{?*}'
                 -- Taking every store out once must leave nothing.
                 AND replace(replace(replace(replace(',' || substr(target_scopes, 2, length(target_scopes) - 2) || ',',
                   ',actions,', ','), ',codespaces,', ','), ',dependabot,', ','), ',agents,', ',') = ','),
  left_alone     BOOLEAN NOT NULL DEFAULT 0 CHECK (left_alone IN (0, 1)), -- adopt: keep decided that none of the scopes is ours
  is_excluded    BOOLEAN NOT NULL DEFAULT 0 CHECK (is_excluded IN (0, 1)),
  last_synced_at timestamp CHECK (typeof(last_synced_at) IN ('integer', 'null')),
  sync_status    TEXT NOT NULL DEFAULT 'pending'
                 CHECK (sync_status IN ('pending', 'synced', 'failed', 'conflict')),
  error_message  TEXT,
  created_at     timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at     timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  UNIQUE (project_id, secret_name)
);
CREATE INDEX idx_secret_mappings_sync_status ON secret_mappings (sync_status, last_synced_at);
CREATE INDEX idx_secret_mappings_exclusion ON secret_mappings (project_id, is_excluded);

CREATE TABLE secret_scope_states (
  mapping_id        TEXT NOT NULL REFERENCES secret_mappings (id) ON DELETE CASCADE,
  scope             TEXT NOT NULL CHECK (scope IN ('actions', 'codespaces', 'dependabot', 'agents')
                    OR (scope GLOB 'environment:?*' AND length(scope) <= 267 AND scope NOT GLOB '*[A-Z]*')),
  source            TEXT NOT NULL,
  value_hash        TEXT NOT NULL CHECK (length(value_hash) = 64 AND value_hash NOT GLOB '*[^0-9a-f]*'),
  hash_key_id       TEXT NOT NULL DEFAULT '' CHECK (length(hash_key_id) <= 64),
  target_updated_at timestamp CHECK (typeof(target_updated_at) IN ('integer', 'null')),
  source_updated_at timestamp CHECK (typeof(source_updated_at) IN ('integer', 'null')),
  written_at        timestamp CHECK (typeof(written_at) IN ('integer', 'null')),
  intent_at         timestamp CHECK (typeof(intent_at) IN ('integer', 'null')),
  intent_run        TEXT REFERENCES sync_runs (id) ON DELETE RESTRICT,
  intent_source     TEXT CHECK (intent_source <> ''), -- being written from: an identity, - for none, or several
  PRIMARY KEY (mapping_id, scope),
  CHECK ((intent_at IS NULL) = (intent_run IS NULL)),
  CHECK ((intent_at IS NULL) = (intent_source IS NULL))
);
CREATE INDEX idx_secret_scope_states_intent ON secret_scope_states (intent_run) WHERE intent_run IS NOT NULL;

CREATE TABLE github_environment_configs (
  id                    TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id            TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  environment_name      TEXT NOT NULL CHECK (environment_name IN ('dev', 'staging', 'production')),
  github_environment_id INTEGER NOT NULL CHECK (typeof(github_environment_id) = 'integer'),
  protection_rules      TEXT NOT NULL CHECK (json_valid(protection_rules)),
  secrets               TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(secrets)),
  linked_resources      TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(linked_resources)),
  status                TEXT NOT NULL DEFAULT 'provisioning' CHECK (status IN ('provisioning', 'active', 'failed')),
  last_deployment_at    timestamp CHECK (typeof(last_deployment_at) IN ('integer', 'null')),
  created_at            timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at            timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  UNIQUE (project_id, environment_name),
  CHECK (json_type(protection_rules) = 'object'),
  CHECK (COALESCE(json_type(protection_rules, '$.requiredReviewers'), 'integer') = 'integer'),
  CHECK (COALESCE(json_extract(protection_rules, '$.requiredReviewers'), 0) >= 0),
  CHECK (COALESCE(json_type(protection_rules, '$.waitTimer'), 'integer') = 'integer'),
  CHECK (COALESCE(json_extract(protection_rules, '$.waitTimer'), 0) >= 0),
  CHECK (COALESCE(json_type(protection_rules, '$.restrictToMainBranch'), 'true') IN ('true', 'false')),
  CHECK (COALESCE(json_type(protection_rules, '$.reviewerIds'), 'array') = 'array'),
  CHECK (json_type(secrets) = 'array'),
  CHECK (json_type(linked_resources) = 'object')
);
CREATE INDEX idx_github_env_status ON github_environment_configs (status);

-- +goose StatementBegin
CREATE TRIGGER github_environment_configs_insert BEFORE INSERT ON github_environment_configs
BEGIN
  SELECT RAISE(ABORT, 'github_environment_configs: a list has a member of the wrong form')
  WHERE json_valid(NEW.protection_rules) AND json_valid(NEW.secrets) AND json_valid(NEW.linked_resources) AND (
    EXISTS (SELECT 1 FROM json_each(NEW.protection_rules, '$.reviewerIds') WHERE type <> 'integer')
    OR EXISTS (SELECT 1 FROM json_each(NEW.linked_resources) WHERE type <> 'text')
    OR EXISTS (SELECT 1 FROM json_each(NEW.secrets) AS s WHERE s.type <> 'object'
      OR COALESCE(json_type(s.value, '$.name'), '') <> 'text'
      OR json_extract(s.value, '$.name') NOT GLOB '[A-Z]*'
      OR json_extract(s.value, '$.name') GLOB '*[^A-Z0-9_]*'
      OR COALESCE(json_type(s.value, '$.valueHash'), '') <> 'text'
      OR length(json_extract(s.value, '$.valueHash')) <> 64
      OR json_extract(s.value, '$.valueHash') GLOB '*[^0-9a-f]*'
      -- Nothing but name, hash and time has a place here, least of all a value.
      OR EXISTS (SELECT 1 FROM json_each(s.value) AS k
                 WHERE k.key NOT IN ('name', 'valueHash', 'hashKeyId', 'lastUpdatedAt'))));
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER github_environment_configs_update BEFORE UPDATE ON github_environment_configs
BEGIN
  SELECT RAISE(ABORT, 'github_environment_configs: a list has a member of the wrong form')
  WHERE json_valid(NEW.protection_rules) AND json_valid(NEW.secrets) AND json_valid(NEW.linked_resources) AND (
    EXISTS (SELECT 1 FROM json_each(NEW.protection_rules, '$.reviewerIds') WHERE type <> 'integer')
    OR EXISTS (SELECT 1 FROM json_each(NEW.linked_resources) WHERE type <> 'text')
    OR EXISTS (SELECT 1 FROM json_each(NEW.secrets) AS s WHERE s.type <> 'object'
      OR COALESCE(json_type(s.value, '$.name'), '') <> 'text'
      OR json_extract(s.value, '$.name') NOT GLOB '[A-Z]*'
      OR json_extract(s.value, '$.name') GLOB '*[^A-Z0-9_]*'
      OR COALESCE(json_type(s.value, '$.valueHash'), '') <> 'text'
      OR length(json_extract(s.value, '$.valueHash')) <> 64
      OR json_extract(s.value, '$.valueHash') GLOB '*[^0-9a-f]*'
      -- Nothing but name, hash and time has a place here, least of all a value.
      OR EXISTS (SELECT 1 FROM json_each(s.value) AS k
                 WHERE k.key NOT IN ('name', 'valueHash', 'hashKeyId', 'lastUpdatedAt'))));
END;
-- +goose StatementEnd

CREATE TABLE secret_sync_events (
  id              TEXT NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id      TEXT NOT NULL REFERENCES projects (id) ON DELETE RESTRICT,
  actor_id        TEXT NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  operation       TEXT NOT NULL CHECK (operation IN ('create', 'update', 'delete', 'sync_all', 'validate')),
  secret_name     TEXT CHECK (secret_name GLOB '[A-Z]*' AND secret_name NOT GLOB '*[^A-Z0-9_]*') CHECK (length(secret_name) <= 100),
  affected_scopes TEXT NOT NULL CHECK (affected_scopes GLOB '{?*}'),
  status          TEXT NOT NULL CHECK (status IN ('success', 'failure', 'partial')),
  success_count   INTEGER NOT NULL DEFAULT 0 CHECK (success_count >= 0) CHECK (typeof(success_count) = 'integer'),
  failure_count   INTEGER NOT NULL DEFAULT 0 CHECK (failure_count >= 0) CHECK (typeof(failure_count) = 'integer'),
  error_message   TEXT,
  correlation_id  TEXT NOT NULL CHECK (correlation_id GLOB '????????-????-????-????-????????????' AND correlation_id NOT GLOB '*[^0-9a-f-]*'),
  duration_ms     INTEGER NOT NULL CHECK (duration_ms >= 0) CHECK (typeof(duration_ms) = 'integer'),
  metadata        TEXT CHECK (json_valid(metadata) AND json_type(metadata) = 'object'),
  created_at      timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  seq             INTEGER NOT NULL CHECK (seq >= 1) CHECK (typeof(seq) = 'integer'),
  prev_hash       TEXT NOT NULL CHECK (length(prev_hash) = 64 AND prev_hash NOT GLOB '*[^0-9a-f]*'),
  hash            TEXT NOT NULL CHECK (length(hash) = 64 AND hash NOT GLOB '*[^0-9a-f]*'),
  PRIMARY KEY (id),
  UNIQUE (project_id, seq),
  CHECK (status <> 'success' OR failure_count = 0),
  CHECK (status <> 'failure' OR success_count = 0),
  CHECK (status <> 'partial' OR (success_count > 0 AND failure_count > 0)),
  CHECK ((secret_name IS NULL) = (operation IN ('sync_all', 'validate')))
);
CREATE INDEX idx_secret_sync_events_project ON secret_sync_events (project_id, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_correlation ON secret_sync_events (correlation_id);
CREATE INDEX idx_secret_sync_events_actor ON secret_sync_events (actor_id, created_at DESC);
CREATE INDEX idx_secret_sync_events_project_actor ON secret_sync_events (project_id, actor_id, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_secret ON secret_sync_events (project_id, secret_name, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_operation ON secret_sync_events (project_id, operation, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_status ON secret_sync_events (project_id, status, created_at DESC, seq DESC);

-- The months that retention has purged: only their rows may be deleted.
CREATE TABLE purged_months (
  month     TEXT PRIMARY KEY NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]' AND substr(month, 6) BETWEEN '01' AND '12'),
  purged_at timestamp NOT NULL CHECK (typeof(purged_at) = 'integer')
);

-- As many outcomes as scopes, each scope known, none twice.
-- +goose StatementBegin
CREATE TRIGGER secret_sync_events_scopes BEFORE INSERT ON secret_sync_events
WHEN (
  SELECT CASE
    WHEN NOT json_valid(list) THEN true
    WHEN json_array_length(list) <> NEW.success_count + NEW.failure_count THEN true
    ELSE json_array_length(list) <> (
      SELECT count(DISTINCT value) FROM json_each(list)
      WHERE value IN ('actions', 'codespaces', 'dependabot', 'agents')
         OR (value GLOB 'environment:?*' AND length(value) <= 267 AND value NOT GLOB '*[A-Z]*'))
  END
  FROM (SELECT CASE
    WHEN NEW.affected_scopes GLOB '*"*' THEN '[' || substr(NEW.affected_scopes, 2, length(NEW.affected_scopes) - 2) || ']'
    ELSE '["' || replace(substr(NEW.affected_scopes, 2, length(NEW.affected_scopes) - 2), ',', '","') || '"]'
  END AS list)
)
BEGIN
  SELECT RAISE(ABORT, 'secret_sync_events: scopes and counts do not fit');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER secret_sync_events_no_update BEFORE UPDATE ON secret_sync_events
BEGIN
  SELECT RAISE(ABORT, 'secret_sync_events is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER secret_sync_events_no_delete BEFORE DELETE ON secret_sync_events
WHEN NOT EXISTS (
  SELECT 1 FROM purged_months WHERE month = strftime('%Y-%m', OLD.created_at / 1000000, 'unixepoch')
)
BEGIN
  SELECT RAISE(ABORT, 'secret_sync_events is append-only');
END;
-- +goose StatementEnd

-- REPLACE deletes without a word where a connection has recursive_triggers off; here it is stopped
-- before that.
-- +goose StatementBegin
CREATE TRIGGER secret_sync_events_no_replace BEFORE INSERT ON secret_sync_events
WHEN EXISTS (
  SELECT 1 FROM secret_sync_events WHERE id = NEW.id OR (project_id = NEW.project_id AND seq = NEW.seq)
)
BEGIN
  SELECT RAISE(ABORT, 'secret_sync_events is append-only');
END;
-- +goose StatementEnd

CREATE TABLE audit_heads (
  project_id  TEXT PRIMARY KEY NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  seq         INTEGER NOT NULL CHECK (seq >= 0) CHECK (typeof(seq) = 'integer'),
  hash        TEXT NOT NULL CHECK (length(hash) = 64 AND hash NOT GLOB '*[^0-9a-f]*'),
  at          timestamp CHECK (typeof(at) IN ('integer', 'null')),
  anchor_seq  INTEGER NOT NULL DEFAULT 0 CHECK (anchor_seq >= 0) CHECK (typeof(anchor_seq) = 'integer'), -- the last event purged
  anchor_hash TEXT NOT NULL CHECK (length(anchor_hash) = 64 AND anchor_hash NOT GLOB '*[^0-9a-f]*'),
  anchor_at   timestamp CHECK (typeof(anchor_at) IN ('integer', 'null')),
  CHECK (anchor_seq <= seq),
  CHECK ((at IS NULL) = (seq = 0)),
  CHECK ((anchor_at IS NULL) = (anchor_seq = 0))
);

CREATE TABLE secret_exclusion_patterns (
  id         TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id TEXT REFERENCES projects (id) ON DELETE CASCADE,
  pattern    TEXT NOT NULL CHECK (pattern <> '') CHECK (length(pattern) <= 200),
  reason     TEXT NOT NULL CHECK (reason <> ''),
  is_global  BOOLEAN NOT NULL DEFAULT 0 CHECK (is_global IN (0, 1)),
  created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
  created_at timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  CHECK ((is_global AND project_id IS NULL) OR (NOT is_global AND project_id IS NOT NULL))
);
CREATE UNIQUE INDEX idx_secret_exclusion_project ON secret_exclusion_patterns (project_id, pattern) WHERE project_id IS NOT NULL;
CREATE UNIQUE INDEX idx_secret_exclusion_global ON secret_exclusion_patterns (is_global, pattern) WHERE is_global;

CREATE TABLE github_api_quotas (
  id              TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id      TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  quota_type      TEXT NOT NULL CHECK (quota_type IN ('core', 'secrets', 'graphql')),
  remaining       INTEGER NOT NULL CHECK (remaining >= 0) CHECK (typeof(remaining) = 'integer'),
  limit_value     INTEGER NOT NULL CHECK (typeof(limit_value) = 'integer'),
  reset_at        timestamp NOT NULL CHECK (typeof(reset_at) = 'integer'),
  last_checked_at timestamp NOT NULL CHECK (typeof(last_checked_at) = 'integer'),
  created_at      timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  updated_at      timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  UNIQUE (project_id, quota_type),
  CHECK (remaining <= limit_value)
);
CREATE INDEX idx_github_quota_reset ON github_api_quotas (reset_at);

CREATE TABLE credential_limits (
  credential   TEXT NOT NULL CHECK (credential <> ''), -- its name, never itself
  resource     TEXT NOT NULL CHECK (resource <> ''),
  limit_value  INTEGER NOT NULL CHECK (limit_value >= 0) CHECK (typeof(limit_value) = 'integer'),
  remaining    INTEGER NOT NULL CHECK (remaining >= 0) CHECK (typeof(remaining) = 'integer'),
  reset_at     timestamp CHECK (typeof(reset_at) IN ('integer', 'null')),
  checked_at   timestamp NOT NULL CHECK (typeof(checked_at) = 'integer'),
  paused_until timestamp CHECK (typeof(paused_until) IN ('integer', 'null')),
  why          TEXT NOT NULL DEFAULT '',
  updated_at   timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  PRIMARY KEY (credential, resource),
  CHECK (remaining <= limit_value)
);

CREATE TABLE scope_lists (
  project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  kind       TEXT NOT NULL CHECK (kind <> ''),
  credential TEXT NOT NULL, -- its name, never itself
  date       timestamp NOT NULL CHECK (typeof(date) = 'integer'), -- GitHub's clock
  content    TEXT NOT NULL CHECK (json_valid(content)),
  updated_at timestamp NOT NULL CHECK (typeof(updated_at) = 'integer'),
  PRIMARY KEY (project_id, credential, kind)
);

CREATE TABLE idempotency_keys (
  project_id   TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  key          TEXT NOT NULL CHECK (key <> '') CHECK (length(key) <= 255),
  run_id       TEXT NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
  options_hash TEXT NOT NULL CHECK (length(options_hash) = 64 AND options_hash NOT GLOB '*[^0-9a-f]*'),
  created_at   timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  expires_at   timestamp NOT NULL CHECK (typeof(expires_at) = 'integer'),
  PRIMARY KEY (project_id, user_id, key),
  CHECK (expires_at > created_at)
);
CREATE INDEX idx_idempotency_keys_expiry ON idempotency_keys (expires_at);
CREATE INDEX idx_idempotency_keys_run ON idempotency_keys (run_id);

CREATE TABLE replicas (
  id           TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  name         TEXT NOT NULL,
  started_at   timestamp NOT NULL CHECK (typeof(started_at) = 'integer'),
  heartbeat_at timestamp NOT NULL CHECK (typeof(heartbeat_at) = 'integer')
);
CREATE INDEX idx_replicas_heartbeat ON replicas (heartbeat_at);

CREATE TABLE webhook_deliveries (
  id          TEXT PRIMARY KEY NOT NULL CHECK (length(id) <= 100), -- GitHub's
  event       TEXT NOT NULL CHECK (length(event) <= 60),
  received_at timestamp NOT NULL CHECK (typeof(received_at) = 'integer'),
  handled_at  timestamp CHECK (typeof(handled_at) IN ('integer', 'null'))
);
CREATE INDEX idx_webhook_deliveries_received ON webhook_deliveries (received_at);

CREATE TABLE relay_sessions (
  id              TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id      TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  run_id          TEXT NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
  token_hash      TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64 AND token_hash NOT GLOB '*[^0-9a-f]*'),
  workflow_run_id INTEGER NOT NULL CHECK (typeof(workflow_run_id) = 'integer'), -- GitHub's run_id and run_attempt
  run_attempt     INTEGER NOT NULL CHECK (run_attempt >= 1) CHECK (typeof(run_attempt) = 'integer'),
  created_at      timestamp NOT NULL CHECK (typeof(created_at) = 'integer'),
  expires_at      timestamp NOT NULL CHECK (typeof(expires_at) = 'integer'),
  ended_at        timestamp CHECK (typeof(ended_at) IN ('integer', 'null')),
  CHECK (expires_at > created_at)
);
-- A fresh claim of the same run ends the session before it: one is live at a time.
CREATE UNIQUE INDEX idx_relay_sessions_live ON relay_sessions (run_id) WHERE ended_at IS NULL;
CREATE INDEX idx_relay_sessions_expiry ON relay_sessions (expires_at);

CREATE TABLE oidc_tokens_seen (
  issuer     TEXT NOT NULL,
  jti        TEXT NOT NULL CHECK (jti <> ''),
  seen_at    timestamp NOT NULL CHECK (typeof(seen_at) = 'integer'),
  expires_at timestamp NOT NULL CHECK (typeof(expires_at) = 'integer'),
  PRIMARY KEY (issuer, jti)
);
CREATE INDEX idx_oidc_tokens_seen_expiry ON oidc_tokens_seen (expires_at);
