package plan_test

import (
	"maps"
	"slices"
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

// The small world that random inputs are drawn from. It is small so that everything meets.
var (
	someNames = []secret.Name{
		secret.MustName("A"), secret.MustName("AB"), secret.MustName("B"), secret.MustName("B_X"), secret.MustName("C"), secret.MustName("C_X"),
	}
	someScopes  = []secret.Scope{secret.Actions, secret.Codespaces, secret.Dependabot, prod}
	someSources = []string{plan.ActionsSource, file, other, stdin}
	someHashes  = []secret.Hash{{}, one, two, secret.NewHasher([]byte("key"), "project").Hash(secret.NewPlaintext([]byte("one")))}
	// Globs, and what they mean.
	someGlobs = map[string]func(string) bool{
		"A*":  func(n string) bool { return n[0] == 'A' },
		"*_X": func(n string) bool { return len(n) > 2 && n[len(n)-2:] == "_X" },
		"?":   func(n string) bool { return len(n) == 1 },
	}
)

func pick[T any](t *rapid.T, label string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, label)]
}

func chance(t *rapid.T, label string, in int) bool { return rapid.IntRange(1, in).Draw(t, label) == 1 }

func some[T any](t *rapid.T, label string, from []T, in int) []T {
	var out []T
	for _, v := range from {
		if chance(t, label, in) {
			out = append(out, v)
		}
	}
	return out
}

// second draws a moment within a minute and a half, so that times are often equal or close.
func second(t *rapid.T, label string) time.Time {
	return nine.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, label)) * time.Second)
}

func anyInput(t *rapid.T) plan.Input {
	in := plan.Input{
		Source: plan.Source{
			Identity: pick(t, "source", someSources), Values: map[secret.Name]plan.Value{},
			Organisation: map[secret.Name]bool{},
		},
		Observed: map[secret.Scope]plan.Observation{},
		Memory:   map[secret.Name]plan.Mapping{},
		Excluded: map[secret.Name]plan.Exclusion{},
		Options:  anyOptions(t),
	}
	for _, s := range someScopes {
		if !chance(t, "not looked at", 20) {
			in.Observed[s] = anyObservation(t)
		}
	}
	for _, n := range someNames {
		if chance(t, "present", 2) {
			v := plan.Value{Hash: pick(t, "hash", someHashes)}
			if chance(t, "timed", 2) {
				v.UpdatedAt = second(t, "source time")
			}
			in.Source.Values[n] = v
		}
		if chance(t, "organisation", 6) {
			in.Source.Organisation[n] = true
		}
		if chance(t, "mapped", 2) {
			in.Memory[n] = anyMapping(t)
		}
		if chance(t, "excluded", 10) {
			in.Excluded[n] = plan.Exclusion{Pattern: "^" + n.String() + "$"}
		}
	}
	return in
}

func anyOptions(t *rapid.T) plan.Options {
	o := plan.Options{
		Default: append(some(t, "default", someScopes[1:], 2), secret.Dependabot), Window: window,
		Force: chance(t, "force", 3), AllowDeletes: rapid.IntRange(0, 6).Draw(t, "allow"),
		Adopt: pick(t, "adopt", []plan.Adopt{plan.AdoptNone, plan.AdoptOverwrite, plan.AdoptKeep}),
	}
	if chance(t, "with scopes", 3) {
		o.Scopes = append(some(t, "scopes", someScopes, 2), secret.Codespaces)
	}
	if chance(t, "limited", 4) {
		o.Names = some(t, "names", someNames, 3)
		globs := slices.Sorted(maps.Keys(someGlobs))
		o.Only, o.Except = some(t, "only", globs, 3), some(t, "except", globs, 3)
	}
	return o
}

func anyObservation(t *rapid.T) plan.Observation {
	switch {
	case chance(t, "failed", 20):
		return plan.Observation{Failed: true}
	case chance(t, "store missing", 20):
		return plan.Observation{Missing: true}
	}
	o := plan.Observation{Date: nine.Add(time.Hour), UpdatedAt: map[secret.Name]time.Time{}}
	for _, n := range someNames {
		if chance(t, "listed", 2) {
			o.UpdatedAt[n] = second(t, "target time")
		}
	}
	return o
}

func anyMapping(t *rapid.T) plan.Mapping {
	m := plan.Mapping{
		TargetScopes: append(some(t, "target scopes", someScopes[:3], 2), prod),
		LeftAlone:    chance(t, "left alone", 10), States: map[secret.Scope]plan.State{},
	}
	for _, s := range someScopes {
		if !chance(t, "stateless", 3) {
			m.States[s] = anyState(t)
		}
	}
	return m
}

func anyState(t *rapid.T) plan.State {
	st := plan.State{Source: pick(t, "written from", someSources)}
	written := !chance(t, "unwritten", 4)
	if written {
		st.Hash = pick(t, "written hash", someHashes)
		st.TargetUpdatedAt, st.WrittenAt = second(t, "target time"), noon
		st.SourceUpdatedAt = second(t, "source time")
	}
	if !written || chance(t, "intent", 4) {
		at := second(t, "intent").Add(time.Duration(rapid.IntRange(0, 999).Draw(t, "ms")) * time.Millisecond)
		st.Intent = plan.Intent{At: at, Run: "run", Alive: at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "alive")) * time.Second)}
		if chance(t, "intent tells its source", 2) {
			st.Intent.Source = pick(t, "intent source", someSources)
		}
	}
	return st
}

// copied returns an input that shares nothing with in.
func copied(in plan.Input) plan.Input {
	out := in
	out.Source.Values = maps.Clone(in.Source.Values)
	out.Source.Organisation = maps.Clone(in.Source.Organisation)
	out.Observed = maps.Clone(in.Observed)
	for s, o := range out.Observed {
		o.UpdatedAt = maps.Clone(o.UpdatedAt)
		out.Observed[s] = o
	}
	out.Memory = copiedMemory(in.Memory)
	out.Excluded = maps.Clone(in.Excluded)
	o := &out.Options
	o.Scopes, o.Default, o.Names = slices.Clone(o.Scopes), slices.Clone(o.Default), slices.Clone(o.Names)
	o.Only, o.Except = slices.Clone(o.Only), slices.Clone(o.Except)
	return out
}

func copiedMemory(memory map[secret.Name]plan.Mapping) map[secret.Name]plan.Mapping {
	out := maps.Clone(memory)
	for n, m := range out {
		m.TargetScopes, m.States = slices.Clone(m.TargetScopes), maps.Clone(m.States)
		out[n] = m
	}
	return out
}
