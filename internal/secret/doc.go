// Package secret is the ground floor: the types every other room speaks in.
//
// A Name and a Scope say which secret is meant; each has one spelling and can only be built
// valid. A Plaintext is a value in the clear: it prints as [redacted] however it is printed, and
// the only way to its bytes is a method whose name says so. A Hash is what is remembered of a
// value. A PublicKey is GitHub's key of one scope, and Seal turns a Plaintext into a Box that only
// GitHub can open.
//
// The package imports nothing of ours, does no IO and reads no clock.
package secret
