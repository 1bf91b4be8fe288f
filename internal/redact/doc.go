// Package redact is the second line of defence for logs and error texts: the first is that a value
// is a secret.Plaintext, which prints as [redacted] anyway. It replaces every value it has learned,
// and everything that looks like a credential, by [redacted].
//
// A value is learned as it is, and in the forms it takes on the way into a text: quoted, in JSON,
// URL-encoded, in base64 at each of its three alignments, in hex, and as fmt prints bytes. Values
// under four bytes are not learned: they would be everywhere.
//
// What looks like a credential: GitHub's tokens and ours, by their prefixes; JSON web tokens; the
// password in scheme://user:password@host; and private keys in PEM, to their end or to that of the
// text.
//
// What is kept in memory: one copy of each learned value, since the Plaintext itself is zeroed once
// it is sealed and may yet turn up in an answer, and of each of its forms the first 64 bytes. Forget
// overwrites both.
package redact
