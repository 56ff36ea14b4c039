// Command check-history checks whether a recorded history is linearizable.
//
//	check-history [-limit 60s] [-picture FILE.html] HISTORY.jsonl
//
// It prints one line of JSON. The exit code is 0 if the history is linearizable, 1 if not, 3 if the time was over before a
// result, 2 for other errors.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"tidewater/tests/replicas/tools/model"

	"github.com/anishathalye/porcupine"
)

type report struct {
	Result     porcupine.CheckResult `json:"result"`
	Operations int                   `json:"operations"`
	Groups     int                   `json:"groups"`
	// Unknown is the number of operations without a known outcome.
	Unknown int     `json:"unknown"`
	TookS   float64 `json:"took_s"`
	// Group is the first group that is not linearizable, or that took too long.
	Group string `json:"group,omitempty"`
	// Around are operations of this group around the first one that does not fit, in the order of their calls.
	Around []string `json:"around,omitempty"`
}

func main() {
	limit := flag.Duration("limit", time.Minute, "time for each group")
	picture := flag.String("picture", "", "where to draw the first group that is not linearizable, as HTML")
	flag.Parse()
	result, err := check(flag.Arg(0), *limit, *picture)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check-history:", err)
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(2)
	}
	os.Exit(map[porcupine.CheckResult]int{porcupine.Ok: 0, porcupine.Illegal: 1, porcupine.Unknown: 3}[result.Result])
}

func check(path string, limit time.Duration, picture string) (report, error) {
	file, err := os.Open(path)
	if err != nil {
		return report{}, err
	}
	defer file.Close()
	history, err := model.Read(file)
	if err != nil {
		return report{}, err
	}
	begun := time.Now()
	names, groups := model.Groups(history)
	made := report{Result: porcupine.Ok, Operations: len(history), Groups: len(names)}
	for _, operation := range history {
		if operation.Outcome == model.Unknown {
			made.Unknown++
		}
	}
	for _, name := range names {
		result, info := model.Check(groups[name], limit)
		if result == porcupine.Ok {
			continue
		}
		made.Result, made.Group, made.Around = result, name, around(groups[name], info)
		if picture != "" {
			if err := porcupine.VisualizePath(model.Catalog, info, picture); err != nil {
				return report{}, err
			}
		}
		break
	}
	made.TookS = time.Since(begun).Seconds()
	return made, nil
}

// around returns the operations near the end of the longest order that the checker found.
func around(group []model.Operation, info porcupine.LinearizationInfo) []string {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, one := range partition {
			if len(one) > len(longest) {
				longest = one
			}
		}
	}
	if len(longest) == 0 {
		return nil
	}
	var shown []string
	for _, one := range longest[max(0, len(longest)-8):] {
		shown = append(shown, "fits: "+describe(one.Input.(model.Operation)))
	}
	placed := map[string]bool{}
	for _, one := range longest {
		placed[describe(one.Input.(model.Operation))] = true
	}
	left := 0
	for _, operation := range group {
		if text := describe(operation); !placed[text] && left < 12 {
			shown = append(shown, "left: "+text)
			left++
		}
	}
	return shown
}

func describe(operation model.Operation) string {
	return fmt.Sprintf("%d-%d client %d: %s", operation.Call, operation.Return, operation.Client, model.Describe(operation))
}
