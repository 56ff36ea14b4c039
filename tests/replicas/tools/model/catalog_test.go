package model

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func load(call, end int64, table string, seen *Table) Operation {
	outcome := Done
	if seen == nil {
		outcome = Missing
	}
	return Operation{Kind: "load", Call: call, Return: end, Table: table, Outcome: outcome, Seen: seen}
}

func create(call, end int64, table, born, outcome string) Operation {
	made := Operation{Kind: "create", Call: call, Return: end, Table: table, Born: born, Outcome: outcome}
	if outcome == Done {
		made.Seen = &Table{Born: born}
	}
	return made
}

func commit(call, end int64, outcome string, changes ...Change) Operation {
	return Operation{Kind: "commit", Call: call, Return: end, Outcome: outcome, Changes: changes}
}

func swap(table, expect, ref string) Change { return Change{Table: table, Expect: expect, Ref: ref} }

func note(table, text string) Change { return Change{Table: table, Note: text} }

func drop(call, end int64, table, outcome string) Operation {
	return Operation{Kind: "drop", Call: call, Return: end, Table: table, Outcome: outcome}
}

func rename(call, end int64, from, to, outcome string) Operation {
	return Operation{Kind: "rename", Call: call, Return: end, Table: from, To: to, Outcome: outcome}
}

func list(call, end int64, names ...string) Operation {
	return Operation{Kind: "list", Call: call, Return: end, Outcome: Done, Names: names}
}

var begin = create(1, 2, "t", "b", Done)

func expect(t *testing.T, wanted porcupine.CheckResult, history ...Operation) {
	t.Helper()
	result, _ := Check(history, 10*time.Second)
	if result != wanted {
		t.Errorf("the result is %s, not %s", result, wanted)
	}
}

func TestSequentialHistoryIsLinearizable(t *testing.T) {
	expect(t, porcupine.Ok,
		begin,
		commit(3, 4, Done, swap("t", "", "r1")),
		commit(5, 6, Failed, swap("t", "", "r2")),
		commit(7, 8, Done, note("t", "n1")),
		load(9, 10, "t", &Table{"b", "r1", "n1"}),
		rename(11, 12, "t", "u", Done),
		load(13, 14, "t", nil),
		list(15, 16, "u"),
		create(17, 18, "u", "c", Exists),
		drop(19, 20, "u", Done),
		drop(21, 22, "u", Missing),
		list(23, 24))
}

func TestConcurrentOperationsMayTakeAnyOrder(t *testing.T) {
	expect(t, porcupine.Ok,
		begin,
		commit(3, 20, Done, swap("t", "", "r1")),
		commit(3, 20, Failed, swap("t", "", "r2")),
		load(4, 8, "t", &Table{"b", "", ""}),
		load(9, 12, "t", &Table{"b", "r1", ""}))
}

func TestLostUpdateIsFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 4, Done, swap("t", "", "r1")),
		commit(5, 6, Done, swap("t", "", "r2")),
		load(7, 8, "t", &Table{"b", "r2", ""}))
}

func TestTwoConcurrentSwapsOfOneValueAreFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 10, Done, swap("t", "", "r1")),
		commit(3, 10, Done, swap("t", "", "r2")))
}

func TestStaleLoadIsFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 4, Done, swap("t", "", "r1")),
		load(5, 6, "t", &Table{"b", "", ""}))
}

func TestLoadsThatGoBackInTimeAreFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 20, Done, note("t", "n1")),
		load(4, 5, "t", &Table{"b", "", "n1"}),
		load(6, 7, "t", &Table{"b", "", ""}))
}

func TestLostAcknowledgedCommitIsFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 4, Done, note("t", "n1")),
		load(100, 101, "t", &Table{"b", "", ""}))
}

func TestChangeAppliedTwiceIsFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 4, Done, note("t", "n1")),
		commit(5, 6, Done, note("t", "n2")),
		load(7, 8, "t", &Table{"b", "", "n1"}))
}

func TestUnknownChangeAppliedTwiceIsFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 0, Unknown, note("t", "n1")),
		load(4, 5, "t", &Table{"b", "", "n1"}),
		commit(6, 7, Done, note("t", "n2")),
		load(8, 9, "t", &Table{"b", "", "n1"}))
}

func TestUnknownChangeMayHappenLateOrNever(t *testing.T) {
	late := commit(3, 0, Unknown, swap("t", "", "r1"))
	expect(t, porcupine.Ok, begin, late, load(10, 11, "t", &Table{"b", "", ""}), load(20, 21, "t", &Table{"b", "r1", ""}))
	expect(t, porcupine.Ok, begin, late, load(10, 11, "t", &Table{"b", "", ""}))
	expect(t, porcupine.Ok, begin, drop(3, 0, "t", Unknown), load(10, 11, "t", nil))
	expect(t, porcupine.Ok, begin, drop(3, 0, "t", Unknown), load(10, 11, "t", &Table{"b", "", ""}))
	expect(t, porcupine.Ok, create(1, 0, "t", "b", Unknown), drop(5, 6, "t", Done), load(10, 11, "t", nil))
}

func TestUnknownChangeThatWasSeenMustStay(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin,
		commit(3, 0, Unknown, swap("t", "", "r1")),
		load(10, 11, "t", &Table{"b", "r1", ""}),
		load(20, 21, "t", &Table{"b", "", ""}))
}

func TestValueWithoutAChangeIsFound(t *testing.T) {
	expect(t, porcupine.Illegal, begin, load(3, 4, "t", &Table{"b", "r9", ""}))
}

func TestHalfOfATransactionIsFound(t *testing.T) {
	other := create(1, 2, "u", "c", Done)
	both := commit(3, 10, Done, swap("t", "", "r1"), swap("u", "", "s1"))
	expect(t, porcupine.Illegal,
		begin, other, both,
		load(4, 5, "t", &Table{"b", "r1", ""}),
		load(6, 7, "u", &Table{"c", "", ""}))
	expect(t, porcupine.Ok,
		begin, other, both,
		load(4, 5, "t", &Table{"b", "", ""}),
		load(6, 7, "u", &Table{"c", "s1", ""}))
}

func TestRefusedTransactionThatChangedATableIsFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin, create(1, 2, "u", "c", Done),
		commit(3, 4, Failed, swap("t", "", "r1"), swap("u", "x", "s1")),
		load(5, 6, "t", &Table{"b", "r1", ""}))
}

func TestTransactionMayCreateATable(t *testing.T) {
	made := commit(3, 4, Done, swap("t", "", "r1"), Change{Table: "u", Create: "c", Note: "n"})
	expect(t, porcupine.Ok, begin, made, load(5, 6, "u", &Table{"c", "", "n"}))
	expect(t, porcupine.Illegal, begin, made, load(5, 6, "u", nil))
	expect(t, porcupine.Illegal, begin, create(2, 3, "u", "d", Done), made)
}

func TestTableUnderTwoNamesIsFound(t *testing.T) {
	moved := rename(3, 4, "t", "u", Done)
	expect(t, porcupine.Illegal, begin, moved, load(5, 6, "u", &Table{"b", "", ""}), load(7, 8, "t", &Table{"b", "", ""}))
	expect(t, porcupine.Illegal, begin, moved, list(5, 6, "t", "u"))
}

func TestTwoCreationsOfOneNameAreFound(t *testing.T) {
	expect(t, porcupine.Illegal, create(1, 10, "t", "b", Done), create(1, 10, "t", "c", Done))
}

func TestDroppedTableThatReturnsIsFound(t *testing.T) {
	expect(t, porcupine.Illegal,
		begin, drop(3, 4, "t", Done), load(5, 6, "t", nil), load(7, 8, "t", &Table{"b", "", ""}))
}

func TestCommitToATableOfAnotherIdentityIsFound(t *testing.T) {
	change := swap("t", "", "r1")
	change.ExpectBorn = "b"
	again := []Operation{begin, drop(3, 4, "t", Done), create(5, 6, "t", "c", Done)}
	expect(t, porcupine.Illegal, append(again, commit(7, 8, Done, change))...)
	expect(t, porcupine.Ok, append(again, commit(7, 8, Failed, change))...)
}

func TestAnswerThatShowsAnotherStateIsFound(t *testing.T) {
	answered := commit(3, 4, Done, swap("t", "", "r1"))
	answered.Seen = &Table{"b", "r1", "n9"}
	expect(t, porcupine.Illegal, begin, answered)
}

func TestManyUnknownChangesAreCheckedQuickly(t *testing.T) {
	history := []Operation{begin}
	for number := int64(0); number < 40; number++ {
		at := 10 * (number + 1)
		name := fmt.Sprint("r", number)
		history = append(history,
			commit(at, 0, Unknown, swap("t", "", name)), drop(at+1, 0, "u", Unknown), rename(at+2, 0, "u", "w", Unknown),
			load(at+3, at+4, "t", &Table{"b", "", ""}))
	}
	expect(t, porcupine.Ok, history...)
	history = append(history, load(1_000, 1_001, "t", &Table{"b", "zz", ""}))
	expect(t, porcupine.Illegal, history...)
}
