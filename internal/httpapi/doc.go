// Package httpapi is the HTTP door: the paths of design.md §6 over the services behind it.
//
// A request passes the same steps, whatever it asks for. It gets an id, which stands in every
// answer and log line about it. A route is looked up; what is at no path or takes no such method is
// answered in the envelope. The bearer token becomes a caller, the caller's budget is charged, the
// body is read whole and bounded. Only then is the body looked at: parsed, held against the
// operation's schema, and its project found among the caller's. What a handler sees is therefore
// valid, affordable and allowed, and most of them are one call of a service or the store.
//
// Three words run through the package. An operation is one row of the table in operation.go: its
// method, its path, the role it asks for and what it costs. A caller is who sent the request, with
// the role a token narrows it to. The envelope is the one shape of every answer from 400 up.
//
// A synchronisation does not run in the request that asks for it. The request stores a run and its
// job in one transaction and then watches the run's row: whoever goes away, or runs into the wait
// limit, or is drained when the process ends, leaves a run that goes on elsewhere.
//
// A project that the caller does not belong to answers exactly as one that was never there.
package httpapi
