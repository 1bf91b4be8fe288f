// Package store keeps what Octoseal remembers: names, hashes and times, never values.
//
// There is one Store over two databases: SQLite, one file, for a command or a single server, and
// PostgreSQL for many replicas. The queries are the same text on both. What differs is how a
// database is opened, a handful of snippets in one dialect value, and PostgreSQL's partitions.
// Each has a folder of migrations; a store is migrated when it is opened. The package is the only
// one that knows SQL, and storetest, beside it, is the contract that both databases pass.
//
// A method is one transaction, and no transaction leaves the package. Times are passed in, and
// kept in UTC to the microsecond: a database has a clock of its own, which is neither GitHub's nor
// the one a test sets. A zero time or id is NULL.
//
// What the data model demands, the databases enforce themselves: enums, patterns, sets, counts
// that must agree, references. The exceptions are what only a clock or a JavaScript engine can
// judge (a quota's reset lies ahead, a pattern compiles); those are checked here. A refusal of the
// database is known by its typed code and never by its text.
//
// The events of a project form a chain (package audit). Its head stands in audit_heads and is
// locked by everything that records for the project, which so take turns. The databases let no
// event be changed or removed, except for those of a month that retention has marked as purged;
// the last one purged remains as the chain's anchor.
//
// One run at a time writes a project's secrets: the one that holds its lease. The row says who,
// and its heartbeat until when. Beside an SQLite file the holder also holds a lock of the operating
// system's, whose being free proves what a silent heartbeat can only suggest: the holder is dead.
// Before a run writes, it stores its intents; what it did is recorded in one transaction, once,
// however often it is told.
//
// Environments are remembered beside the secrets of the stores: their rules as asked for, and name,
// hash and time of what was written to them. An apply of environments is no run. It takes the same
// lease, and its intents say themselves when they end.
//
// The queue lives here too, since no transaction leaves the package. StartRun stores a run and the
// job that will do it together, Work does jobs, and a job whose replica died is put back for
// another. A job may therefore be done twice; what must not happen twice, a run's events or its
// lease, is guarded where it is recorded. Only the queue's own table runs by the database's clock,
// so the times of jobs count from the now they are given with.
package store
