// Package importtest holds the direction of dependency: its test reads every file of the module and
// fails on an import that the rules in rules_test.go do not allow, on a package they do not know,
// and on one without exactly one package comment. ARCHITECTURE.md says why the rules are as they are.
package importtest
