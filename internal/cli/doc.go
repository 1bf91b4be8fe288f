// Package cli is the command line: one file a command, and the place where the rooms are wired
// together. It holds no rule about secrets of its own; it reads what was asked, calls the service,
// and says what happened.
//
// # What goes where
//
// Results go to stdout, talk to stderr. A result is what was asked for: a plan, the table of a run
// and the line that sums it up, a JSON document. Talk is everything else: which credential is used,
// how far a run is, notices, questions, errors, hints, logs. So a pipe sees results alone, and
// stdout of a command that ended with an error is empty.
//
//	octoseal: .env: line 3: FOO has no value (give it one, or remove it)
//	hint: to leave these out and write the others: octoseal sync --from .env --skip-invalid
//
// An error names which thing and why, behind the one prefix, in one place (exit.go). What to do next
// stands on a line of its own. Colour and the progress bar appear on a terminal only, and never
// carry a meaning that the words do not; NO_COLOR and TERM=dumb are obeyed. Off a terminal progress
// is a few plain lines, and nobody is asked anything: the output ends with the exact command that
// would have been the answer.
//
// With --json stdout is one JSON document, or nothing at all when the command ended with an error;
// stderr is silent but for that error, as the envelope that the API answers with, on one line, and
// for what --log-level lets through. A run that was interrupted after it had written something is
// both: its result on stdout, and the error.
//
// The last line of a plan, a sync, a status and a validation is parsed by people's scripts and is
// public; so is the JSON. Both only grow.
//
// # Exit codes
//
//	0    done, and in step
//	1    an error
//	2    wrong usage or bad input; nothing was written
//	3    it ran, and something needs attention: some secrets conflict or were not written,
//	     validation found issues, plan --exit-code has changes, doctor found something
//	130  interrupted; the next run puts right what was begun
//
// # Where settings come from
//
// Every flag has a variable (--github-api-url, OCTOSEAL_GITHUB_API_URL) and a key in octoseal.yaml
// (github-api-url). Flag beats variable beats file; an empty variable is none. The file is the one
// that --config names, or octoseal.yaml in the working directory. A file that merely lies there may
// have come with a clone, so it may not say where a credential is sent (github-api-url, but for
// loopback), where names and hashes are (database: postgres://…), nor what is run (from: exec:…);
// one that --config names may.
package cli
