package model

// resolve prepares the operations of one group whose outcome is unknown, so that the checker has less to try:
//
//   - A commit or creation whose value was seen did happen, at the latest when the first operation that saw it returned.
//   - A commit that sets only notes, and whose notes nobody saw, is left out: no answer depends on a note that nobody saw.
//     The same holds for snapshots if no table of the group is dropped, since the final loads would have seen them.
//   - All others may happen until the end of the history, or never.
//
// A history must end with a load of each table.
func resolve(group []Operation) []Operation {
	seen, drops, end := observations(group)
	var resolved []Operation
	for _, operation := range group {
		if operation.Outcome != Unknown {
			resolved = append(resolved, operation)
			continue
		}
		first, isSeen := firstObservation(operation, seen)
		switch {
		case isSeen:
			operation.required = true
			operation.Return = max(operation.Call, first)
		case operation.Kind == "commit" && !creates(operation) && (!drops || !setsRef(operation)):
			continue
		default:
			operation.Return = end + 3
		}
		resolved = append(resolved, operation)
	}
	return resolved
}

// observations returns when each value was first seen (the return of the operation that saw it), whether a table may have
// been dropped, and the time of the last event.
func observations(group []Operation) (seen map[string]int64, drops bool, end int64) {
	seen = map[string]int64{}
	see := func(value string, at int64) {
		if first, known := seen[value]; value != "" && (!known || at < first) {
			seen[value] = at
		}
	}
	for _, operation := range group {
		drops = drops || operation.Kind == "drop"
		end = max(end, operation.Call, operation.Return)
		if operation.Outcome != Done {
			continue
		}
		if operation.Seen != nil {
			see(operation.Seen.Born, operation.Return)
			see(operation.Seen.Ref, operation.Return)
			see(operation.Seen.Note, operation.Return)
		}
		for _, change := range operation.Changes {
			see(change.Expect, operation.Return)
		}
	}
	return seen, drops, end
}

// firstObservation returns when a value that the operation writes was first seen.
func firstObservation(operation Operation, seen map[string]int64) (first int64, isSeen bool) {
	for _, value := range written(operation) {
		if at, known := seen[value]; known && (!isSeen || at < first) {
			first, isSeen = at, true
		}
	}
	return first, isSeen
}

// written returns the values that an operation writes if it happens.
func written(operation Operation) []string {
	var values []string
	if operation.Born != "" {
		values = append(values, operation.Born)
	}
	for _, change := range operation.Changes {
		for _, value := range []string{change.Create, change.Ref, change.Note} {
			if value != "" {
				values = append(values, value)
			}
		}
	}
	return values
}

func setsRef(operation Operation) bool {
	for _, change := range operation.Changes {
		if change.Ref != "" {
			return true
		}
	}
	return false
}

func creates(operation Operation) bool {
	for _, change := range operation.Changes {
		if change.Create != "" {
			return true
		}
	}
	return false
}
