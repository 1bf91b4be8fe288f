-- +goose Up

-- What a run was asked to do, and the job of the repository that it waits for.
ALTER TABLE sync_runs ADD COLUMN args TEXT CHECK (json_valid(args));
ALTER TABLE sync_runs ADD COLUMN dispatched_at timestamp CHECK (typeof(dispatched_at) IN ('integer', 'null'));
ALTER TABLE sync_runs ADD COLUMN asked_at timestamp CHECK (typeof(asked_at) IN ('integer', 'null')); -- GitHub's clock
ALTER TABLE sync_runs ADD COLUMN workflow_run_id INTEGER NOT NULL DEFAULT 0
  CHECK (workflow_run_id >= 0) CHECK (typeof(workflow_run_id) = 'integer'); -- GitHub's; 0 is not known
CREATE INDEX idx_sync_runs_workflow ON sync_runs (workflow_run_id) WHERE workflow_run_id <> 0;
CREATE INDEX idx_sync_runs_waiting ON sync_runs (project_id) WHERE state IN ('queued', 'waiting');

-- Every time that a workflow was about to be started, whether or not it then was.
CREATE TABLE relay_dispatches (
  id         TEXT PRIMARY KEY NOT NULL CHECK (id GLOB '????????-????-????-????-????????????' AND id NOT GLOB '*[^0-9a-f-]*'),
  project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  run_id     TEXT NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
  at         timestamp NOT NULL CHECK (typeof(at) = 'integer')
);
CREATE INDEX idx_relay_dispatches_project ON relay_dispatches (project_id, at);
CREATE INDEX idx_relay_dispatches_run ON relay_dispatches (run_id);
CREATE INDEX idx_relay_dispatches_at ON relay_dispatches (at);
