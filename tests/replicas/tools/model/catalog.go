package model

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

type named struct {
	name string
	Table
}

// state is a group's tables, sorted by name. It is never changed in place.
type state struct {
	tables []named
	// The history has ended: operations with an unknown outcome that did not happen come after this.
	ended bool
}

func (s state) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.tables, name, func(one named, name string) int { return cmp.Compare(one.name, name) })
}

func (s state) get(name string) (Table, bool) {
	at, found := s.find(name)
	if !found {
		return Table{}, false
	}
	return s.tables[at].Table, true
}

func (s state) with(name string, table Table) state {
	at, found := s.find(name)
	tables := slices.Clone(s.tables)
	if found {
		tables[at].Table = table
	} else {
		tables = slices.Insert(tables, at, named{name, table})
	}
	return state{tables: tables, ended: s.ended}
}

func (s state) without(name string) state {
	at, found := s.find(name)
	if !found {
		return s
	}
	return state{tables: slices.Delete(slices.Clone(s.tables), at, at+1), ended: s.ended}
}

func (s state) names() []string {
	names := make([]string, len(s.tables))
	for at, one := range s.tables {
		names[at] = one.name
	}
	return names
}

// step returns whether the operation can have its outcome in this state, and the state after it.
func step(before state, operation Operation) (bool, state) {
	switch {
	case operation.Kind == "end":
		return true, state{tables: before.tables, ended: true}
	case operation.Outcome == Unknown && before.ended:
		return !operation.required, before
	case operation.Outcome == Unknown:
		refusal, after := apply(before, operation)
		return refusal == "", after
	case operation.Kind == "load":
		table, found := before.get(operation.Table)
		if operation.Outcome == Missing {
			return !found, before
		}
		return found && table == *operation.Seen, before
	case operation.Kind == "list":
		return slices.Equal(before.names(), operation.Names), before
	case operation.Outcome == Done:
		refusal, after := apply(before, operation)
		return refusal == "" && matches(after, operation), after
	default:
		return allows(before, operation), before
	}
}

// apply makes a change. It returns the reason why it is refused, or an empty text.
func apply(before state, operation Operation) (string, state) {
	switch operation.Kind {
	case "create":
		if _, found := before.get(operation.Table); found {
			return Exists, before
		}
		return "", before.with(operation.Table, Table{Born: operation.Born})
	case "drop":
		if _, found := before.get(operation.Table); !found {
			return Missing, before
		}
		return "", before.without(operation.Table)
	case "rename":
		table, found := before.get(operation.Table)
		if !found {
			return Missing, before
		}
		if _, taken := before.get(operation.To); taken {
			return Exists, before
		}
		return "", before.without(operation.Table).with(operation.To, table)
	case "commit":
		return applyCommit(before, operation)
	}
	panic("unknown kind " + operation.Kind)
}

func applyCommit(before state, operation Operation) (string, state) {
	after := before
	for _, change := range operation.Changes {
		if refusal := refusalOf(before, change); refusal != "" {
			return refusal, before
		}
		table, _ := before.get(change.Table)
		if change.Create != "" {
			table = Table{Born: change.Create}
		}
		if change.Ref != "" {
			table.Ref = change.Ref
		}
		if change.Note != "" {
			table.Note = change.Note
		}
		after = after.with(change.Table, table)
	}
	return "", after
}

// refusalOf returns the reason why a change is refused, or an empty text.
func refusalOf(before state, change Change) string {
	table, found := before.get(change.Table)
	switch {
	case change.Create != "" && found:
		return Failed
	case change.Create == "" && !found:
		return Missing
	case change.Ref != "" && change.Create == "" && table.Ref != change.Expect:
		return Failed
	case change.ExpectBorn != "" && table.Born != change.ExpectBorn:
		return Failed
	}
	return ""
}

// matches returns whether the answer to a change shows the state after it.
func matches(after state, operation Operation) bool {
	if operation.Seen == nil {
		return true
	}
	name := operation.Table
	if operation.Kind == "commit" {
		name = operation.Changes[0].Table
	}
	table, found := after.get(name)
	return found && table == *operation.Seen
}

// allows returns whether the state allows this refusal. If there are several reasons, each is right.
func allows(before state, operation Operation) bool {
	_, sourceFound := before.get(operation.Table)
	switch operation.Kind {
	case "create":
		return operation.Outcome == Exists && sourceFound
	case "drop":
		return operation.Outcome == Missing && !sourceFound
	case "rename":
		_, taken := before.get(operation.To)
		return operation.Outcome == Missing && !sourceFound || operation.Outcome == Exists && taken
	case "commit":
		return slices.ContainsFunc(operation.Changes, func(change Change) bool {
			return refusalOf(before, change) == operation.Outcome
		})
	}
	return false
}

func equal(one, other any) bool {
	a, b := one.(state), other.(state)
	return a.ended == b.ended && slices.Equal(a.tables, b.tables)
}

func hash(one any) uint64 {
	hash := fnv.New64a()
	for _, table := range one.(state).tables {
		for _, text := range []string{table.name, table.Born, table.Ref, table.Note} {
			hash.Write([]byte(text))
			hash.Write([]byte{0})
		}
	}
	return hash.Sum64()
}

// Catalog is the model of one group of tables.
var Catalog = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, input, _ any) (bool, any) {
		return step(before.(state), input.(Operation))
	},
	Equal:             equal,
	Hash:              hash,
	DescribeOperation: func(input, _ any) string { return Describe(input.(Operation)) },
	DescribeState:     func(one any) string { return describeState(one.(state)) },
}

func describeState(one state) string {
	var tables []string
	for _, table := range one.tables {
		tables = append(tables, fmt.Sprintf("%s=%+v", table.name, table.Table))
	}
	return strings.Join(tables, " ")
}

// Describe returns an operation for people.
func Describe(operation Operation) string {
	text := strings.TrimSpace(strings.Join([]string{operation.Kind, operation.Table, operation.To, operation.Born}, " "))
	for _, change := range operation.Changes {
		text += fmt.Sprintf(" %+v", change)
	}
	text += " -> " + operation.Outcome
	if operation.Seen != nil {
		text += fmt.Sprintf(" %+v", *operation.Seen)
	}
	if operation.Names != nil {
		text += fmt.Sprintf(" %v", operation.Names)
	}
	return text
}

// Check checks the history of one group. Without a result within the time limit, the result is porcupine.Unknown.
func Check(group []Operation, limit time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	resolved := resolve(group)
	operations := make([]porcupine.Operation, 0, len(resolved)+1)
	_, _, end := observations(group)
	for _, one := range append(resolved, Operation{Kind: "end", Call: end + 1, Return: end + 2}) {
		operations = append(operations, porcupine.Operation{ClientId: one.Client, Input: one, Call: one.Call, Return: one.Return})
	}
	return porcupine.CheckOperationsVerbose(Catalog, operations, limit)
}
