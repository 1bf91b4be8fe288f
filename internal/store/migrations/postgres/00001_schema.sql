-- +goose Up

-- Times come from the program and are never defaulted: a database clock is not GitHub's, and not
-- the one that tests set.

-- The functions call nothing of ours: a dump is restored with an empty search path.

-- A set of stores: at least one, each known, none twice.
-- +goose StatementBegin
CREATE FUNCTION is_set_of_stores(scopes TEXT[]) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
  SELECT cardinality(scopes) >= 1
     AND scopes <@ ARRAY['actions', 'codespaces', 'dependabot', 'agents']
     AND cardinality(scopes) = (SELECT count(DISTINCT s) FROM unnest(scopes) AS s)
$$;
-- +goose StatementEnd

-- A set of scopes: stores, or environment:NAME with the name in lower case, its one spelling.
-- +goose StatementBegin
CREATE FUNCTION is_set_of_scopes(scopes TEXT[]) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
  SELECT cardinality(scopes) >= 1
     AND cardinality(scopes) = (
       SELECT count(DISTINCT s) FROM unnest(scopes) AS s
       WHERE s IN ('actions', 'codespaces', 'dependabot', 'agents')
          OR (s LIKE 'environment:_%' AND length(s) <= 267 AND s !~ '[A-Z]'))
$$;
-- +goose StatementEnd

CREATE TABLE users (
  id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  login          VARCHAR(100) NOT NULL CHECK (login <> ''),
  display_name   TEXT NOT NULL,
  kind           VARCHAR(20) NOT NULL CHECK (kind IN ('human', 'system')),
  is_admin       BOOLEAN NOT NULL DEFAULT false,
  deactivated_at TIMESTAMPTZ,
  created_at     TIMESTAMPTZ NOT NULL,
  updated_at     TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX idx_users_login ON users (lower(login));

CREATE TABLE projects (
  id                  UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  name                TEXT NOT NULL CHECK (name <> ''),
  slug                VARCHAR(200) NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]*$'),
  api_host            TEXT NOT NULL CHECK (api_host <> ''),
  owner               TEXT NOT NULL CHECK (owner <> ''),
  repo                TEXT NOT NULL CHECK (repo <> ''),
  repository_id       BIGINT NOT NULL CHECK (repository_id > 0),
  default_branch      TEXT NOT NULL DEFAULT '',
  installation_id     BIGINT,
  value_source        TEXT NOT NULL DEFAULT '' CHECK (value_source IN ('', 'relay') OR value_source LIKE 'source:_%'),
  auto_sync           BOOLEAN NOT NULL DEFAULT false,
  sync_interval       BIGINT NOT NULL DEFAULT 0 CHECK (sync_interval >= 0), -- milliseconds; 0 is the server's own
  adopt               VARCHAR(20) NOT NULL DEFAULT '' CHECK (adopt IN ('', 'overwrite', 'keep')),
  default_reviewer_id BIGINT,
  archived_at         TIMESTAMPTZ,
  created_at          TIMESTAMPTZ NOT NULL,
  updated_at          TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX idx_projects_repository ON projects (api_host, repository_id) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX idx_projects_slug ON projects (slug) WHERE archived_at IS NULL;
CREATE INDEX idx_projects_full_name ON projects (api_host, lower(owner), lower(repo)) WHERE archived_at IS NULL;

CREATE TABLE project_members (
  project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  user_id    UUID NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  role       VARCHAR(20) NOT NULL CHECK (role IN ('viewer', 'developer', 'admin')),
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (project_id, user_id)
);
CREATE INDEX idx_project_members_user ON project_members (user_id);

CREATE TABLE api_tokens (
  id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id      UUID NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  project_id   UUID REFERENCES projects (id) ON DELETE CASCADE,
  role         VARCHAR(20) NOT NULL CHECK (role IN ('viewer', 'developer', 'admin')),
  name         TEXT NOT NULL DEFAULT '',
  token_hash   CHAR(64) NOT NULL UNIQUE CHECK (token_hash ~ '^[0-9a-f]{64}$'),
  expires_at   TIMESTAMPTZ NOT NULL,
  last_used_at TIMESTAMPTZ,
  revoked_at   TIMESTAMPTZ,
  created_at   TIMESTAMPTZ NOT NULL,
  updated_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_api_tokens_user ON api_tokens (user_id);
CREATE INDEX idx_api_tokens_project ON api_tokens (project_id);

CREATE TABLE environments (
  id                     UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id             UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  name                   VARCHAR(255) NOT NULL CHECK (name <> ''),
  kind                   VARCHAR(20) NOT NULL CHECK (kind IN ('core', 'preview')),
  github_environment_id  BIGINT,
  secrets_last_synced_at TIMESTAMPTZ,
  sync_status            VARCHAR(20) CHECK (sync_status IN ('pending', 'synced', 'failed')),
  created_at             TIMESTAMPTZ NOT NULL,
  updated_at             TIMESTAMPTZ NOT NULL,
  UNIQUE (project_id, name),
  CHECK (kind <> 'core' OR name IN ('dev', 'staging', 'production')),
  CHECK (kind <> 'preview' OR github_environment_id IS NULL)
);

CREATE TABLE sync_runs (
  id            UUID PRIMARY KEY, -- the correlation id
  project_id    UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  actor_id      UUID NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  trigger       VARCHAR(20) NOT NULL CHECK (trigger IN ('manual', 'schedule', 'poll', 'webhook', 'relay')),
  state         VARCHAR(20) NOT NULL
                CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'partial', 'failed', 'abandoned')),
  credential    TEXT NOT NULL DEFAULT '', -- its name, never itself
  started_at    TIMESTAMPTZ NOT NULL,
  finished_at   TIMESTAMPTZ,
  heartbeat_at  TIMESTAMPTZ NOT NULL,
  alive_at      TIMESTAMPTZ, -- GitHub's clock at the last heartbeat
  total         INTEGER NOT NULL DEFAULT 0 CHECK (total >= 0),
  synced        INTEGER NOT NULL DEFAULT 0 CHECK (synced >= 0),
  skipped       INTEGER NOT NULL DEFAULT 0 CHECK (skipped >= 0),
  failed        INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
  writes        INTEGER NOT NULL DEFAULT 0 CHECK (writes >= 0),
  error_code    VARCHAR(60) NOT NULL DEFAULT '',
  error_message TEXT NOT NULL DEFAULT '',
  options_hash  VARCHAR(64) NOT NULL DEFAULT '' CHECK (options_hash ~ '^([0-9a-f]{64})?$'),
  result        JSON,
  updated_at    TIMESTAMPTZ NOT NULL,
  CHECK ((finished_at IS NULL) = (state IN ('queued', 'running', 'waiting')))
);
CREATE INDEX idx_sync_runs_project ON sync_runs (project_id, started_at DESC);
CREATE INDEX idx_sync_runs_success ON sync_runs (project_id, finished_at DESC) WHERE state IN ('succeeded', 'partial');
CREATE INDEX idx_sync_runs_credential ON sync_runs (credential, heartbeat_at);
CREATE INDEX idx_sync_runs_queued ON sync_runs (project_id, actor_id, options_hash) WHERE state = 'queued';
CREATE INDEX idx_sync_runs_finished ON sync_runs (finished_at);

CREATE TABLE run_leases (
  project_id   UUID PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
  lease_id     UUID NOT NULL, -- of this one acquisition: a run that is started twice has two
  run_id       UUID NOT NULL,
  holder       TEXT NOT NULL,
  locked       BOOLEAN NOT NULL, -- the holder holds the lock file as well
  acquired_at  TIMESTAMPTZ NOT NULL,
  heartbeat_at TIMESTAMPTZ NOT NULL,
  lapse_ms     BIGINT NOT NULL CHECK (lapse_ms > 0),
  grace_ms     BIGINT NOT NULL CHECK (grace_ms > 0),
  CHECK (heartbeat_at >= acquired_at)
);

CREATE TABLE secret_mappings (
  id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id     UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  secret_name    VARCHAR(100) NOT NULL CHECK (secret_name ~ '^[A-Z][A-Z0-9_]*$'),
  value_hash     CHAR(64) NOT NULL CHECK (value_hash ~ '^[0-9a-f]{64}$'),
  hash_key_id    VARCHAR(64) NOT NULL DEFAULT '',
  source_scope   VARCHAR(20) NOT NULL DEFAULT 'actions' CHECK (source_scope = 'actions'),
  target_scopes  TEXT[] NOT NULL CHECK (is_set_of_stores(target_scopes)),
  left_alone     BOOLEAN NOT NULL DEFAULT false, -- adopt: keep decided that none of the scopes is ours
  is_excluded    BOOLEAN NOT NULL DEFAULT false,
  last_synced_at TIMESTAMPTZ,
  sync_status    VARCHAR(20) NOT NULL DEFAULT 'pending'
                 CHECK (sync_status IN ('pending', 'synced', 'failed', 'conflict')),
  error_message  TEXT,
  created_at     TIMESTAMPTZ NOT NULL,
  updated_at     TIMESTAMPTZ NOT NULL,
  UNIQUE (project_id, secret_name)
);
CREATE INDEX idx_secret_mappings_sync_status ON secret_mappings (sync_status, last_synced_at);
CREATE INDEX idx_secret_mappings_exclusion ON secret_mappings (project_id, is_excluded);

CREATE TABLE secret_scope_states (
  mapping_id        UUID NOT NULL REFERENCES secret_mappings (id) ON DELETE CASCADE,
  scope             TEXT NOT NULL CHECK (is_set_of_scopes(ARRAY[scope])),
  source            TEXT NOT NULL,
  value_hash        CHAR(64) NOT NULL CHECK (value_hash ~ '^[0-9a-f]{64}$'),
  hash_key_id       VARCHAR(64) NOT NULL DEFAULT '',
  target_updated_at TIMESTAMPTZ,
  source_updated_at TIMESTAMPTZ,
  written_at        TIMESTAMPTZ,
  intent_at         TIMESTAMPTZ,
  intent_run        UUID REFERENCES sync_runs (id) ON DELETE RESTRICT,
  intent_source     TEXT CHECK (intent_source <> ''), -- being written from: an identity, - for none, or several
  PRIMARY KEY (mapping_id, scope),
  CHECK ((intent_at IS NULL) = (intent_run IS NULL)),
  CHECK ((intent_at IS NULL) = (intent_source IS NULL))
);
CREATE INDEX idx_secret_scope_states_intent ON secret_scope_states (intent_run) WHERE intent_run IS NOT NULL;

CREATE TABLE github_environment_configs (
  id                    UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id            UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  environment_name      VARCHAR(20) NOT NULL CHECK (environment_name IN ('dev', 'staging', 'production')),
  github_environment_id BIGINT NOT NULL,
  protection_rules      JSONB NOT NULL,
  secrets               JSONB NOT NULL DEFAULT '[]'::jsonb,
  linked_resources      JSONB NOT NULL DEFAULT '{}'::jsonb,
  status                VARCHAR(20) NOT NULL DEFAULT 'provisioning' CHECK (status IN ('provisioning', 'active', 'failed')),
  last_deployment_at    TIMESTAMPTZ,
  created_at            TIMESTAMPTZ NOT NULL,
  updated_at            TIMESTAMPTZ NOT NULL,
  UNIQUE (project_id, environment_name),
  CHECK (jsonb_typeof(protection_rules) = 'object'),
  CHECK (NOT jsonb_path_exists(protection_rules, '$.requiredReviewers ? (@.type() != "number" || @ < 0 || @.floor() != @)')),
  CHECK (NOT jsonb_path_exists(protection_rules, '$.waitTimer ? (@.type() != "number" || @ < 0 || @.floor() != @)')),
  CHECK (NOT jsonb_path_exists(protection_rules, '$.restrictToMainBranch ? (@.type() != "boolean")')),
  CHECK (NOT jsonb_path_exists(protection_rules, 'strict $.reviewerIds ? (@.type() != "array")', silent => true)),
  CHECK (NOT jsonb_path_exists(protection_rules, '$.reviewerIds[*] ? (@.type() != "number")')),
  CHECK (jsonb_typeof(secrets) = 'array'),
  CHECK (NOT jsonb_path_exists(secrets, '$[*] ? (@.type() != "object" || !exists(@.name) || !exists(@.valueHash))')),
  CHECK (NOT jsonb_path_exists(secrets, '$[*].name ? (@.type() != "string" || !(@ like_regex "^[A-Z][A-Z0-9_]*$"))')),
  CHECK (NOT jsonb_path_exists(secrets, '$[*].valueHash ? (@.type() != "string" || !(@ like_regex "^[0-9a-f]{64}$"))')),
  -- Nothing but name, hash and time has a place here, least of all a value.
  CHECK (NOT jsonb_path_exists(secrets,
    '$[*].keyvalue() ? (@.key != "name" && @.key != "valueHash" && @.key != "hashKeyId" && @.key != "lastUpdatedAt")')),
  CHECK (jsonb_typeof(linked_resources) = 'object'),
  CHECK (NOT jsonb_path_exists(linked_resources, '$.keyvalue() ? (@.value.type() != "string")'))
);
CREATE INDEX idx_github_env_status ON github_environment_configs (status);

CREATE TABLE secret_sync_events (
  id              UUID NOT NULL DEFAULT gen_random_uuid(),
  project_id      UUID NOT NULL REFERENCES projects (id) ON DELETE RESTRICT,
  actor_id        UUID NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
  operation       VARCHAR(20) NOT NULL CHECK (operation IN ('create', 'update', 'delete', 'sync_all', 'validate')),
  secret_name     VARCHAR(100) CHECK (secret_name ~ '^[A-Z][A-Z0-9_]*$'),
  affected_scopes TEXT[] NOT NULL CHECK (is_set_of_scopes(affected_scopes)),
  status          VARCHAR(20) NOT NULL CHECK (status IN ('success', 'failure', 'partial')),
  success_count   INTEGER NOT NULL DEFAULT 0 CHECK (success_count >= 0),
  failure_count   INTEGER NOT NULL DEFAULT 0 CHECK (failure_count >= 0),
  error_message   TEXT,
  correlation_id  UUID NOT NULL,
  duration_ms     INTEGER NOT NULL CHECK (duration_ms >= 0),
  metadata        JSONB CHECK (jsonb_typeof(metadata) = 'object'),
  created_at      TIMESTAMPTZ NOT NULL,
  seq             BIGINT NOT NULL CHECK (seq >= 1),
  prev_hash       CHAR(64) NOT NULL CHECK (prev_hash ~ '^[0-9a-f]{64}$'),
  hash            CHAR(64) NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
  PRIMARY KEY (id, created_at),
  UNIQUE (project_id, seq, created_at),
  CHECK (success_count + failure_count = cardinality(affected_scopes)),
  CHECK (status <> 'success' OR failure_count = 0),
  CHECK (status <> 'failure' OR success_count = 0),
  CHECK (status <> 'partial' OR (success_count > 0 AND failure_count > 0)),
  CHECK ((secret_name IS NULL) = (operation IN ('sync_all', 'validate')))
) PARTITION BY RANGE (created_at);
CREATE INDEX idx_secret_sync_events_project ON secret_sync_events (project_id, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_correlation ON secret_sync_events (correlation_id);
CREATE INDEX idx_secret_sync_events_actor ON secret_sync_events (actor_id, created_at DESC);
CREATE INDEX idx_secret_sync_events_project_actor ON secret_sync_events (project_id, actor_id, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_secret ON secret_sync_events (project_id, secret_name, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_operation ON secret_sync_events (project_id, operation, created_at DESC, seq DESC);
CREATE INDEX idx_secret_sync_events_status ON secret_sync_events (project_id, status, created_at DESC, seq DESC);

-- The months that retention has purged: only their rows may be deleted.
CREATE TABLE purged_months (
  month     CHAR(7) PRIMARY KEY CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
  purged_at TIMESTAMPTZ NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION secret_sync_events_append_only() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND EXISTS (
    SELECT 1 FROM purged_months WHERE month = to_char(OLD.created_at AT TIME ZONE 'UTC', 'YYYY-MM')
  ) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'secret_sync_events is append-only' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON secret_sync_events
  FOR EACH ROW EXECUTE FUNCTION secret_sync_events_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON secret_sync_events
  FOR EACH STATEMENT EXECUTE FUNCTION secret_sync_events_append_only();

-- A partition inherits the row trigger, but not the one against TRUNCATE: each gets its own.
CREATE TABLE secret_sync_events_default PARTITION OF secret_sync_events DEFAULT;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON secret_sync_events_default
  FOR EACH STATEMENT EXECUTE FUNCTION secret_sync_events_append_only();

CREATE TABLE audit_heads (
  project_id  UUID PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
  seq         BIGINT NOT NULL CHECK (seq >= 0),
  hash        CHAR(64) NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
  at          TIMESTAMPTZ,
  anchor_seq  BIGINT NOT NULL DEFAULT 0 CHECK (anchor_seq >= 0), -- the last event purged
  anchor_hash CHAR(64) NOT NULL CHECK (anchor_hash ~ '^[0-9a-f]{64}$'),
  anchor_at   TIMESTAMPTZ,
  CHECK (anchor_seq <= seq),
  CHECK ((at IS NULL) = (seq = 0)),
  CHECK ((anchor_at IS NULL) = (anchor_seq = 0))
);

CREATE TABLE secret_exclusion_patterns (
  id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id UUID REFERENCES projects (id) ON DELETE CASCADE,
  pattern    VARCHAR(200) NOT NULL CHECK (pattern <> ''),
  reason     TEXT NOT NULL CHECK (reason <> ''),
  is_global  BOOLEAN NOT NULL DEFAULT false,
  created_by UUID REFERENCES users (id) ON DELETE SET NULL,
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  CHECK ((is_global AND project_id IS NULL) OR (NOT is_global AND project_id IS NOT NULL))
);
CREATE UNIQUE INDEX idx_secret_exclusion_project ON secret_exclusion_patterns (project_id, pattern) WHERE project_id IS NOT NULL;
CREATE UNIQUE INDEX idx_secret_exclusion_global ON secret_exclusion_patterns (is_global, pattern) WHERE is_global;

CREATE TABLE github_api_quotas (
  id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id      UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  quota_type      VARCHAR(20) NOT NULL CHECK (quota_type IN ('core', 'secrets', 'graphql')),
  remaining       INTEGER NOT NULL CHECK (remaining >= 0),
  limit_value     INTEGER NOT NULL,
  reset_at        TIMESTAMPTZ NOT NULL,
  last_checked_at TIMESTAMPTZ NOT NULL,
  created_at      TIMESTAMPTZ NOT NULL,
  updated_at      TIMESTAMPTZ NOT NULL,
  UNIQUE (project_id, quota_type),
  CHECK (remaining <= limit_value)
);
CREATE INDEX idx_github_quota_reset ON github_api_quotas (reset_at);

CREATE TABLE credential_limits (
  credential   TEXT NOT NULL CHECK (credential <> ''), -- its name, never itself
  resource     TEXT NOT NULL CHECK (resource <> ''),
  limit_value  INTEGER NOT NULL CHECK (limit_value >= 0),
  remaining    INTEGER NOT NULL CHECK (remaining >= 0),
  reset_at     TIMESTAMPTZ,
  checked_at   TIMESTAMPTZ NOT NULL,
  paused_until TIMESTAMPTZ,
  why          TEXT NOT NULL DEFAULT '',
  updated_at   TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (credential, resource),
  CHECK (remaining <= limit_value)
);

CREATE TABLE scope_lists (
  project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  kind       TEXT NOT NULL CHECK (kind <> ''),
  credential TEXT NOT NULL, -- its name, never itself
  date       TIMESTAMPTZ NOT NULL, -- GitHub's clock
  content    JSON NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (project_id, credential, kind)
);

CREATE TABLE idempotency_keys (
  project_id   UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  key          VARCHAR(255) NOT NULL CHECK (key <> ''),
  run_id       UUID NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
  options_hash CHAR(64) NOT NULL CHECK (options_hash ~ '^[0-9a-f]{64}$'),
  created_at   TIMESTAMPTZ NOT NULL,
  expires_at   TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (project_id, user_id, key),
  CHECK (expires_at > created_at)
);
CREATE INDEX idx_idempotency_keys_expiry ON idempotency_keys (expires_at);
CREATE INDEX idx_idempotency_keys_run ON idempotency_keys (run_id);

CREATE TABLE replicas (
  id           UUID PRIMARY KEY,
  name         TEXT NOT NULL,
  started_at   TIMESTAMPTZ NOT NULL,
  heartbeat_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_replicas_heartbeat ON replicas (heartbeat_at);

CREATE TABLE webhook_deliveries (
  id          VARCHAR(100) PRIMARY KEY, -- GitHub's
  event       VARCHAR(60) NOT NULL,
  received_at TIMESTAMPTZ NOT NULL,
  handled_at  TIMESTAMPTZ
);
CREATE INDEX idx_webhook_deliveries_received ON webhook_deliveries (received_at);

CREATE TABLE relay_sessions (
  id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id      UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  run_id          UUID NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
  token_hash      CHAR(64) NOT NULL UNIQUE CHECK (token_hash ~ '^[0-9a-f]{64}$'),
  workflow_run_id BIGINT NOT NULL, -- GitHub's run_id and run_attempt
  run_attempt     INTEGER NOT NULL CHECK (run_attempt >= 1),
  created_at      TIMESTAMPTZ NOT NULL,
  expires_at      TIMESTAMPTZ NOT NULL,
  ended_at        TIMESTAMPTZ,
  CHECK (expires_at > created_at)
);
-- A fresh claim of the same run ends the session before it: one is live at a time.
CREATE UNIQUE INDEX idx_relay_sessions_live ON relay_sessions (run_id) WHERE ended_at IS NULL;
CREATE INDEX idx_relay_sessions_expiry ON relay_sessions (expires_at);

CREATE TABLE oidc_tokens_seen (
  issuer     TEXT NOT NULL,
  jti        TEXT NOT NULL CHECK (jti <> ''),
  seen_at    TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (issuer, jti)
);
CREATE INDEX idx_oidc_tokens_seen_expiry ON oidc_tokens_seen (expires_at);
