// Package store keeps what Octoseal remembers: names, hashes and times, never values.
//
// One set of queries serves two databases, SQLite for one machine and PostgreSQL for many. A
// method is one transaction, and no transaction leaves the package; that is why the queue lives
// here too. StartRun stores a run and the job that will do it together, Work does jobs, and a job
// whose replica died is put back for another. A job may therefore be done twice; what must not
// happen twice, a run's events or its lease, is guarded where it is recorded.
//
// Times are passed in. Only the queue's own table runs by the database's clock, so the times of
// jobs count from the now they are given with.
package store
