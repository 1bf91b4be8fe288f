-- +goose Up

-- What a run was asked to do, and the job of the repository that it waits for.
ALTER TABLE sync_runs
  ADD COLUMN args            JSON,
  ADD COLUMN dispatched_at   TIMESTAMPTZ,
  ADD COLUMN asked_at        TIMESTAMPTZ, -- GitHub's clock
  ADD COLUMN workflow_run_id BIGINT NOT NULL DEFAULT 0 CHECK (workflow_run_id >= 0); -- GitHub's; 0 is not known
CREATE INDEX idx_sync_runs_workflow ON sync_runs (workflow_run_id) WHERE workflow_run_id <> 0;
CREATE INDEX idx_sync_runs_waiting ON sync_runs (project_id) WHERE state IN ('queued', 'waiting');

-- Every time that a workflow was about to be started, whether or not it then was.
CREATE TABLE relay_dispatches (
  id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  run_id     UUID NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
  at         TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_relay_dispatches_project ON relay_dispatches (project_id, at);
CREATE INDEX idx_relay_dispatches_run ON relay_dispatches (run_id);
CREATE INDEX idx_relay_dispatches_at ON relay_dispatches (at);
