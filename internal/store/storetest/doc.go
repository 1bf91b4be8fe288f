// Package storetest holds the contract of a store, as tests that any database must pass, and what
// other rooms need to test against one.
//
// Run is the contract: the laws of the methods, and every constraint of the data model, refused by
// the database itself when it is asked behind the store's back. Postgres gives a test a database
// on a server that lives as long as the test process.
package storetest
