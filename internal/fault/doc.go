// Package fault is the one table of everything that can go wrong, and the error that names an
// entry of it.
//
// Each code stands once, with its HTTP status, severity, retry policy, message and hint; the API's
// envelope, the exit codes, the documentation and the audit trail derive from the table. A Fault
// says which thing, why, and what to do next. It never holds a secret value, an answer's body or a
// stack.
package fault
