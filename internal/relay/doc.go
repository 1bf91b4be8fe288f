// Package relay copies what already is in Actions without anyone holding it. A short workflow job in
// the repository is the only place where Actions secrets can be read; it seals each value for GitHub's
// own keys and hands the sealed boxes on. The service never has a plaintext, the repository no
// credential, and the job trusts no key that the reviewed workflow file does not pin.
//
// Two parties meet here: the Runner in the job, and the Server in the service. What they say to each
// other is in protocol.go; docs/relay.md explains it to those who have to trust it.
package relay
