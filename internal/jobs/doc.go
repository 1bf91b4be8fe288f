// Package jobs keeps projects in step without anybody asking: it is the door through which time,
// GitHub's webhooks and the queue come in. It decides when a run is due and whether it goes again;
// what a run does is syncing's.
//
// # The queue
//
// Work that must not be lost stands in the database's queue, and any replica may take it:
//
//   - sync: a run that somebody asked for, the poller included. It is carried out under the project's
//     lease; while another run holds that, the job snoozes. A worker that dies leaves the job to
//     another, which takes the same run up and records it once.
//     Where Actions is the source, a job of the repository has to bring the values: the run says which
//     it needs, has the workflow started, and waits without a worker and without the lease until the
//     job has claimed it and brought them to whichever replica it reached (relay.go).
//   - retry: a look at a project whose run failed, after 1, 5 and 30 minutes.
//   - webhook: what a delivery of GitHub's says, reduced to where to look; a deployment that our
//     protection rule holds back is judged.
//   - upkeep: partitions, retention and pruning, once for all replicas.
//
// # Polling
//
// GitHub sends no word when a secret changes, so the lists are looked at, with conditional requests
// that cost no quota while nothing changes. A look starts a run only when a list (or the file that
// the values come from) differs from what the project's last run saw, whatever that run made of it:
// a conflict that was reported is not reported again every minute.
//
// Projects are divided among the live replicas, and under each credential they are looked at in the
// order in which they fall due. A credential's looks use at most half of what GitHub allows it in a
// minute, so that runs find room; where that is not enough for the interval asked for, the
// interval stretches for all alike, and says so (pace.go).
//
// # What is in memory
//
// For each project of this replica's share: a digest and an ETag for each list, and when it is due. It
// comes from the lists that the last run stored, and no unchanged look writes anything. All of it may
// be lost: a replica that starts reads it again as each project falls due, within one interval.
package jobs
