// Package store keeps what Octoseal remembers: names, hashes and times, never values.
package store
