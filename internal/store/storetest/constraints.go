package storetest

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A row is what a table is asked to take, by column.
type row map[string]any

// A table is a row that the database takes, and changes to it that it must refuse. Each change is
// tried alone.
type table struct {
	name    string
	good    row
	also    []row // changes that it must take
	refused []row
}

// constraints asks the database itself, behind the store's back, whether it holds every constraint
// of the data model.
func constraints(w *world) {
	db := w.raw()
	for _, t := range w.tables(db) {
		if err := w.try(db, t.name, t.good, nil); err != nil {
			w.Errorf("%s takes no good row: %v", t.name, err)
			continue
		}
		for _, change := range t.also {
			if err := w.try(db, t.name, t.good, change); err != nil {
				w.Errorf("%s does not take %v: %v", t.name, change, err)
			}
		}
		for _, change := range t.refused {
			if err := w.try(db, t.name, t.good, change); !refused(err) {
				w.Errorf("%s, %v: want it refused by a constraint, got %v", t.name, change, err)
			}
		}
		w.required(db, t)
	}
	w.unique(db)
	w.referred(db)
}

// try inserts a row with a change made to it, and takes it back.
func (w *world) try(db *sql.DB, into string, good, change row) error {
	w.Helper()
	tx, err := db.BeginTx(w.ctx, nil)
	w.check(err)
	defer tx.Rollback()
	return w.put(tx, into, good, change)
}

func (w *world) put(tx *sql.Tx, into string, good, change row) error {
	merged := maps.Clone(good)
	maps.Copy(merged, change)
	columns := slices.Sorted(maps.Keys(merged))
	marks, args := make([]string, len(columns)), make([]any, len(columns))
	for i, column := range columns {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), w.spelled(merged[column])
	}
	_, err := tx.ExecContext(w.ctx, "INSERT INTO "+into+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...)
	return err
}

// spelled is a value as the database has it: SQLite's times are integers.
func (w *world) spelled(v any) any {
	switch v := v.(type) {
	case time.Time:
		if !w.onPostgres() {
			return v.UnixMicro()
		}
	case uuid.UUID:
		return v.String()
	}
	return v
}

// required asks that every column of a good row without a default is needed.
func (w *world) required(db *sql.DB, t table) {
	w.Helper()
	for _, column := range slices.Sorted(maps.Keys(t.good)) {
		if slices.Contains(optional[t.name], column) {
			continue
		}
		if err := w.try(db, t.name, t.good, row{column: nil}); !refused(err) {
			w.Errorf("%s.%s is required, but without it: %v", t.name, column, err)
		}
	}
}

// optional are the columns that may be NULL and stand in a good row all the same.
var optional = map[string][]string{
	"secret_mappings":           {"last_synced_at", "error_message"},
	"secret_scope_states":       {"target_updated_at", "source_updated_at", "written_at"},
	"secret_sync_events":        {"error_message", "metadata"},
	"secret_exclusion_patterns": {"created_by"},
	"environments":              {"github_environment_id", "secrets_last_synced_at", "sync_status"},
	"projects":                  {"installation_id", "default_reviewer_id", "archived_at"},
	"users":                     {"deactivated_at"},
	"api_tokens":                {"project_id", "last_used_at", "revoked_at"},
	"sync_runs":                 {"alive_at", "result", "args", "dispatched_at", "asked_at"},
	"webhook_deliveries":        {"handled_at"},
	"credential_limits":         {"reset_at", "paused_until"},
}

var (
	longName = "A" + strings.Repeat("B", 100)
	goodHash = strings.Repeat("0af9", 16)
	badHash  = []any{"", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("A", 64), strings.Repeat("g", 64)}
	badNames = []any{"", "lower", "1A", "_A", "A-B", "A B", "Ä", "A\n", "GO.", longName}
)

// each is a change of one column for each value.
func each(column string, values ...any) (out []row) {
	for _, v := range values {
		out = append(out, row{column: v})
	}
	return out
}

func join(rows ...[]row) []row { return slices.Concat(rows...) }

// tables are those of data-model.md first, then our own. db is asked for the ids of what they
// refer to.
func (w *world) tables(db *sql.DB) []table {
	run := w.begin()
	w.record(run, store.Outcome{Mappings: []store.MappingRecord{{Name: gamma, TargetScopes: secret.Stores()}}})
	var mapping string
	w.check(db.QueryRowContext(w.ctx, "SELECT id FROM secret_mappings").Scan(&mapping))
	return slices.Concat(w.modelTables(mapping, run.ID), w.ownTables(run.ID))
}

func (w *world) modelTables(mapping string, run uuid.UUID) []table {
	made := row{"created_at": w.now, "updated_at": w.now}
	with := func(r row) row { maps.Copy(r, made); return r }
	return []table{{
		name: "secret_mappings",
		good: with(row{
			"id": uuid.New(), "project_id": w.project.ID, "secret_name": "TOKEN", "value_hash": goodHash, "hash_key_id": "", "source_scope": "actions",
			"target_scopes": "{codespaces,dependabot}", "left_alone": false, "is_excluded": false, "sync_status": "pending", "error_message": "x",
			"last_synced_at": w.now,
		}),
		also: join(each("target_scopes", "{actions}", "{agents,dependabot,codespaces,actions}"), each("sync_status", "synced", "failed", "conflict"),
			each("secret_name", longName[:100], "A_1")),
		refused: join(each("secret_name", badNames...), each("value_hash", badHash...), each("source_scope", "codespaces", "dependabot", ""),
			each("target_scopes", "{}", "{environments}", "{codespaces,nowhere}", "{actions,actions}", "{environment:production}", "{Actions}"),
			each("sync_status", "", "done", "PENDING")),
	}, {
		name: "secret_scope_states",
		good: row{
			"mapping_id": mapping, "scope": "codespaces", "source": "file:/.env", "value_hash": goodHash, "hash_key_id": "",
			"target_updated_at": w.now, "source_updated_at": w.now, "written_at": w.now,
		},
		also: join(each("scope", "agents", "environment:production", "environment:{\"odd\"}"), []row{{"intent_at": w.now, "intent_run": run, "intent_source": "-"}}),
		refused: join(each("scope", "", "nowhere", "environment:", "environment:Production", "environment"), each("value_hash", badHash...),
			[]row{{"intent_at": w.now}, {"intent_run": run}, {"intent_source": "-"}, {"intent_at": w.now, "intent_run": run},
				{"intent_at": w.now, "intent_run": run, "intent_source": ""},
				{"intent_at": w.now, "intent_run": uuid.New(), "intent_source": "-"}, {"mapping_id": uuid.New()}}),
	}, w.configs(with), w.events(run), {
		name: "secret_exclusion_patterns",
		good: with(row{"id": uuid.New(), "project_id": w.project.ID, "pattern": "^X", "reason": "y", "is_global": false, "created_by": store.Local}),
		also: []row{{"project_id": nil, "is_global": true}},
		refused: []row{
			{"is_global": true}, {"project_id": nil}, {"project_id": uuid.New()}, {"pattern": ""}, {"pattern": strings.Repeat("x", 201)}, {"reason": ""},
			{"created_by": uuid.New()}, {"project_id": nil, "is_global": true, "pattern": "^CI$"},
		},
	}, {
		name: "github_api_quotas",
		good: with(row{
			"id": uuid.New(), "project_id": w.project.ID, "quota_type": "core", "remaining": 10, "limit_value": 10, "reset_at": w.now, "last_checked_at": w.now,
		}),
		also:    join(each("quota_type", "secrets", "graphql"), each("remaining", 0)),
		refused: join(each("quota_type", "", "search"), each("remaining", -1, 11), each("limit_value", 9), each("project_id", uuid.New())),
	}, {
		name: "environments",
		good: with(row{
			"id": uuid.New(), "project_id": w.project.ID, "name": "production", "kind": "core", "github_environment_id": int64(1) << 40,
			"secrets_last_synced_at": w.now, "sync_status": "synced",
		}),
		also: []row{{"kind": "preview", "name": "pr-7", "github_environment_id": nil}},
		refused: join(each("kind", "", "other"), each("sync_status", "", "conflict"), each("project_id", uuid.New()), each("name", "", "prod"),
			[]row{{"kind": "preview", "name": "pr-7"}}),
	}, {
		name: "environment_intents",
		good: row{
			"project_id": w.project.ID, "scope": "environment:production", "secret_name": "TOKEN", "intent_at": w.now, "intent_until": w.now.Add(time.Minute),
		},
		also: join(each("scope", "environment:dev", "environment:staging"), each("intent_until", w.now)),
		refused: join(each("scope", "", "actions", "environment:", "environment:Dev", "environment:preview"), each("secret_name", badNames...),
			each("intent_until", w.now.Add(-time.Second)), each("project_id", uuid.New())),
	}}
}

func (w *world) configs(with func(row) row) table {
	secretOf := func(member string) string { return fmt.Sprintf(`[{"name":"A","valueHash":"%s"%s}]`, goodHash, member) }
	return table{
		name: "github_environment_configs",
		good: with(row{
			"id": uuid.New(), "project_id": w.project.ID, "environment_name": "production", "github_environment_id": int64(1) << 40,
			"protection_rules": `{}`, "secrets": `[]`, "linked_resources": `{}`, "status": "active",
		}),
		also: join(each("environment_name", "dev", "staging"), each("status", "provisioning", "failed"),
			each("protection_rules", `{"requiredReviewers":2,"reviewerIds":[1,8589934592],"restrictToMainBranch":true,"waitTimer":30}`),
			each("secrets", secretOf(``), secretOf(`,"hashKeyId":"k","lastUpdatedAt":"2026-11-23T12:00:00Z"`)),
			each("linked_resources", `{"neonBranchId":"b"}`)),
		refused: join(each("environment_name", "", "prod", "preview"), each("status", "", "deleted"), each("project_id", uuid.New()),
			each("protection_rules", `[]`, `{"requiredReviewers":-1}`, `{"requiredReviewers":"1"}`, `{"requiredReviewers":1.5}`,
				`{"requiredReviewers":null}`, `{"waitTimer":-1}`, `{"reviewerIds":7}`, `{"reviewerIds":["octocat"]}`, `{"restrictToMainBranch":"yes"}`),
			each("secrets", `{}`, `["A"]`, `[{}]`, `[{"name":"a","valueHash":"`+goodHash+`"}]`, `[{"name":"A"}]`, `[{"name":"A","valueHash":"x"}]`,
				`[{"name":7,"valueHash":"`+goodHash+`"}]`, secretOf(`,"value":"s3cret"`), secretOf(`,"encrypted":"x"`)),
			each("linked_resources", `[]`, `{"neonBranchId":7}`)),
	}
}

func (w *world) events(run uuid.UUID) table {
	return table{
		name: "secret_sync_events",
		good: row{
			"id": uuid.New(), "project_id": w.project.ID, "actor_id": store.Local, "operation": "update", "secret_name": "TOKEN",
			"affected_scopes": "{actions,codespaces}", "status": "partial", "success_count": 1, "failure_count": 1, "error_message": "x",
			"correlation_id": run, "duration_ms": 0, "metadata": `{"attempt":1}`, "created_at": w.now, "seq": 1, "prev_hash": goodHash, "hash": goodHash,
		},
		also: []row{
			{"status": "success", "success_count": 2, "failure_count": 0}, {"status": "failure", "success_count": 0, "failure_count": 2},
			{"operation": "sync_all", "secret_name": nil}, {"operation": "validate", "secret_name": nil}, {"operation": "create"}, {"operation": "delete"},
			{"affected_scopes": `{"environment:a, b","environment:{\"c\"\\}"}`}, {"affected_scopes": "{agents,environment:production}"},
			{"created_at": w.now.AddDate(5, 0, 0)}, // the default partition's
		},
		refused: join(
			each("operation", "", "rotate"), each("status", "", "ok"), each("secret_name", badNames...), each("hash", badHash...), each("prev_hash", badHash...),
			each("affected_scopes", "{}", "{actions}", "{actions,nowhere}", "{actions,actions}", "{actions,environment:}", "{actions,codespaces,dependabot}"),
			each("duration_ms", -1), each("seq", 0), each("metadata", `[]`, `7`), each("project_id", uuid.New()), each("actor_id", uuid.New()),
			[]row{
				{"success_count": 2}, {"success_count": 3, "failure_count": -1}, {"status": "success"}, {"status": "failure"},
				{"success_count": 2, "failure_count": 0}, {"success_count": 0, "failure_count": 2}, {"operation": "sync_all"}, {"secret_name": nil},
			}),
	}
}

func (w *world) ownTables(run uuid.UUID) []table {
	made := row{"created_at": w.now, "updated_at": w.now}
	with := func(r row) row { maps.Copy(r, made); return r }
	later := w.now.Add(time.Hour)
	return []table{{
		name: "projects",
		good: with(row{
			"id": uuid.New(), "name": "n", "slug": "s-1", "api_host": "h", "owner": "o", "repo": "r", "repository_id": int64(1) << 40, "default_branch": "main",
			"installation_id": 1, "value_source": "relay", "auto_sync": true, "sync_interval": 1000, "adopt": "keep", "default_reviewer_id": 1,
		}),
		also: join(each("value_source", "", "source:vault"), each("adopt", "", "overwrite"), []row{{"archived_at": w.now, "slug": w.project.Slug}}),
		refused: join(each("value_source", "source:", "file:/x", "vault"), each("adopt", "no"), each("repository_id", 0, -1), each("sync_interval", -1),
			each("slug", "", "-a", "A", "a b", w.project.Slug), each("owner", ""), each("repo", ""), each("api_host", ""), each("name", ""),
			[]row{{"api_host": "api.github.com", "repository_id": 7}}),
	}, {
		name:    "users",
		good:    with(row{"id": uuid.New(), "login": "octocat", "display_name": "", "kind": "human", "is_admin": false}),
		refused: join(each("kind", "", "bot"), each("login", "", "LOCAL", strings.Repeat("x", 101))),
	}, {
		name:    "project_members",
		good:    with(row{"project_id": w.project.ID, "user_id": store.Local, "role": "viewer"}),
		also:    each("role", "developer", "admin"),
		refused: join(each("role", "", "owner"), each("project_id", uuid.New()), each("user_id", uuid.New())),
	}, {
		name: "api_tokens",
		good: with(row{
			"id": uuid.New(), "user_id": store.Local, "project_id": w.project.ID, "role": "admin", "name": "ci", "token_hash": goodHash, "expires_at": later,
		}),
		refused: join(each("token_hash", badHash...), each("role", "", "owner"), each("user_id", uuid.New()), each("project_id", uuid.New())),
	}, {
		name: "sync_runs",
		good: row{
			"id": uuid.New(), "project_id": w.project.ID, "actor_id": store.Local, "trigger": "manual", "state": "running", "credential": "", "started_at": w.now,
			"heartbeat_at": w.now, "alive_at": w.now, "total": 0, "synced": 0, "skipped": 0, "failed": 0, "writes": 0, "error_code": "",
			"error_message": "", "options_hash": goodHash, "result": `{}`, "updated_at": w.now,
			"args": `{}`, "dispatched_at": w.now, "asked_at": w.now, "workflow_run_id": int64(1) << 40,
		},
		also: []row{{"state": "queued"}, {"state": "waiting"}, {"state": "abandoned", "finished_at": w.now}, {"options_hash": ""}},
		refused: join(each("trigger", "", "cron"), each("state", "", "done", "succeeded", "partial", "failed", "abandoned"), each("finished_at", w.now),
			each("total", -1), each("synced", -1), each("skipped", -1), each("failed", -1), each("writes", -1), each("workflow_run_id", -1), each("options_hash", badHash[1:]...),
			each("actor_id", uuid.New()), each("project_id", uuid.New())),
	}, {
		name: "run_leases",
		good: row{
			"project_id": w.project.ID, "lease_id": uuid.New(), "run_id": run, "holder": "", "locked": true, "acquired_at": w.now, "heartbeat_at": w.now,
			"lapse_ms": 1, "grace_ms": 1,
		},
		refused: join(each("lapse_ms", 0), each("grace_ms", -1), each("heartbeat_at", w.now.Add(-time.Second)), each("project_id", uuid.New())),
	}, {
		name: "audit_heads",
		good: row{
			"project_id": w.newProject("acme", "headless", 71).ID, "seq": 2, "hash": goodHash, "at": w.now, "anchor_seq": 1, "anchor_hash": goodHash, "anchor_at": w.now,
		},
		refused: join(each("seq", -1, 0), each("anchor_seq", -1, 3), each("hash", badHash...), each("anchor_hash", badHash...)),
	}, {
		name:    "purged_months",
		good:    row{"month": "2026-01", "purged_at": w.now},
		refused: each("month", "", "2026-13", "2026-00", "2026-1", "January"),
	}, {
		name: "credential_limits",
		good: row{
			"credential": "a", "resource": "core", "limit_value": 1, "remaining": 1, "reset_at": w.now, "checked_at": w.now, "paused_until": later,
			"why": "", "updated_at": w.now,
		},
		refused: join(each("remaining", -1, 2), each("limit_value", -1), each("credential", ""), each("resource", "")),
	}, {
		name:    "scope_lists",
		good:    row{"project_id": w.project.ID, "kind": "actions", "credential": "", "date": w.now, "content": `[]`, "updated_at": w.now},
		refused: join(each("kind", ""), each("project_id", uuid.New())),
	}, {
		name: "idempotency_keys",
		good: row{
			"user_id": store.Local, "key": "k", "project_id": w.project.ID, "run_id": run, "options_hash": goodHash, "created_at": w.now, "expires_at": later,
		},
		refused: join(each("key", "", strings.Repeat("k", 256)), each("options_hash", badHash...), each("expires_at", w.now), each("run_id", uuid.New())),
	}, {
		name: "relay_sessions",
		good: row{
			"id": uuid.New(), "project_id": w.project.ID, "run_id": run, "token_hash": goodHash, "workflow_run_id": int64(1) << 40, "run_attempt": 1,
			"created_at": w.now, "expires_at": later,
		},
		refused: join(each("token_hash", badHash...), each("run_attempt", 0), each("expires_at", w.now), each("run_id", uuid.New())),
	}, {
		name:    "relay_dispatches",
		good:    row{"id": uuid.New(), "project_id": w.project.ID, "run_id": run, "at": w.now},
		refused: join(each("project_id", uuid.New()), each("run_id", uuid.New())),
	}, {
		name: "replicas",
		good: row{"id": uuid.New(), "name": "a", "started_at": w.now, "heartbeat_at": w.now},
	}, {
		name:    "webhook_deliveries",
		good:    row{"id": "x", "event": "push", "received_at": w.now, "handled_at": w.now},
		refused: each("id", strings.Repeat("x", 101)),
	}, {
		name:    "oidc_tokens_seen",
		good:    row{"issuer": "i", "jti": "j", "seen_at": w.now, "expires_at": later},
		refused: each("jti", ""),
	}}
}

// unique asks that no table takes the same row twice: by its key, and with another id.
func (w *world) unique(db *sql.DB) {
	w.Helper()
	for _, t := range w.tables(db) {
		for _, second := range []row{nil, {"id": uuid.New()}} {
			if _, has := t.good["id"]; second != nil && (!has || hasOnlyItsID[t.name]) {
				continue
			}
			err := w.twice(db, t, second)
			if !refused(err) {
				w.Errorf("%s takes the same row twice, with %v changed: %v", t.name, second, err)
			}
		}
	}
}

// hasOnlyItsID are the tables that nothing but the id makes unique.
var hasOnlyItsID = map[string]bool{"sync_runs": true, "relay_dispatches": true, "replicas": true, "webhook_deliveries": true}

func (w *world) twice(db *sql.DB, t table, change row) error {
	w.Helper()
	tx, err := db.BeginTx(w.ctx, nil)
	w.check(err)
	defer tx.Rollback()
	if err := w.put(tx, t.name, t.good, nil); err != nil {
		w.Errorf("%s takes no good row: %v", t.name, err)
	}
	return w.put(tx, t.name, t.good, change)
}

// referred asks that nothing goes that something else still speaks of, and that what belongs to a
// project goes with it.
func (w *world) referred(db *sql.DB) {
	w.Helper()
	run := w.begin()
	w.open(run, w.now, "file:a", store.Target{Name: beta, Scope: secret.Codespaces})
	for _, statement := range []string{
		`DELETE FROM users WHERE login = 'local'`,
		`DELETE FROM sync_runs WHERE id = '` + run.ID.String() + `'`,
		`UPDATE secret_mappings SET target_scopes = '{}'`,
		`UPDATE secret_mappings SET value_hash = 'x'`,
	} {
		if _, err := db.ExecContext(w.ctx, statement); !refused(err) {
			w.Errorf("%s: want it refused, got %v", statement, err)
		}
	}
	_, err := db.ExecContext(w.ctx, `DELETE FROM secret_mappings`)
	w.check(err)
	var states int
	w.check(db.QueryRowContext(w.ctx, `SELECT count(*) FROM secret_scope_states`).Scan(&states))
	w.same("states without a mapping", states, 0)
}
