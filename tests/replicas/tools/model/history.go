// Package model has the sequential specification of the catalog, against which recorded histories are checked.
//
// A history is a list of operations on groups of tables. Groups share no table, so each is checked for itself.
package model

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// Outcomes of an operation, as its client knows them.
const (
	Done    = "done"    // Success.
	Missing = "missing" // Refused: a table does not exist.
	Exists  = "exists"  // Refused: the name is taken.
	Failed  = "failed"  // Refused: a requirement does not hold.
	Unknown = "unknown" // No answer: the change may have happened, may happen later, or never.
)

// Table is the checked state of a table: three values that clients choose and never use twice.
type Table struct {
	// Born identifies the table. Its creation sets it.
	Born string `json:"born"`
	// Ref is the current snapshot. A commit replaces it if it has the expected value.
	Ref string `json:"ref"`
	// Note is a property. A commit replaces it without a condition.
	Note string `json:"note"`
}

// Change is a commit's part for one table. Empty values change nothing.
type Change struct {
	Table string `json:"table"`
	// Create makes the table, whose identity this is. The table must not exist.
	Create string `json:"create,omitempty"`
	// Expect is the required snapshot, if Ref is set. Empty: the table has no snapshot.
	Expect string `json:"expect,omitempty"`
	// ExpectBorn is the required identity, if it is set.
	ExpectBorn string `json:"expect_born,omitempty"`
	Ref        string `json:"ref,omitempty"`
	Note       string `json:"note,omitempty"`
}

// Operation is one operation with its times, in nanoseconds of one clock.
type Operation struct {
	Group  string `json:"group"`
	Client int    `json:"client"`
	// Kind is load, list, create, drop, rename or commit.
	Kind    string   `json:"kind"`
	Call    int64    `json:"call"`
	Return  int64    `json:"return"`
	Table   string   `json:"table,omitempty"`
	To      string   `json:"to,omitempty"`
	Born    string   `json:"born,omitempty"`
	Changes []Change `json:"changes,omitempty"`
	Outcome string   `json:"outcome"`
	// Seen is the table in the answer to a load, a creation or a commit to one table. A commit's answer may lack it.
	Seen *Table `json:"seen,omitempty"`
	// Names are those in the answer to a list, sorted.
	Names []string `json:"names,omitempty"`

	// The operation must take effect. Only for unknown outcomes.
	required bool
}

// Read reads a history: one operation in JSON on each line.
func Read(from io.Reader) ([]Operation, error) {
	var history []Operation
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<24)
	for number := 1; lines.Scan(); number++ {
		var operation Operation
		if err := json.Unmarshal(lines.Bytes(), &operation); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		history = append(history, operation)
	}
	return history, lines.Err()
}

// Groups divides a history by group. It returns the groups in their order of appearance.
func Groups(history []Operation) ([]string, map[string][]Operation) {
	var names []string
	groups := map[string][]Operation{}
	for _, operation := range history {
		if _, known := groups[operation.Group]; !known {
			names = append(names, operation.Group)
		}
		groups[operation.Group] = append(groups[operation.Group], operation)
	}
	return names, groups
}
