# Runs lists of steps side by side. Source it in bash. A list ("lane") is a function that calls `step` for each command.
#   step COMMAND...        runs the command with its output in a file, and prints the whole output when it has ended
#   run_lanes LANE...      runs the lanes side by side; on the first failure, stops all lanes and ends the shell
# `LANE_LOGS` is the folder for the outputs.

# Prints standard input without output of other steps in between.
print_whole() {
    flock "$LANE_LOGS/lock" cat
}

step() {
    local log since=$SECONDS code=0
    log=$(mktemp "$LANE_LOGS/step.XXXXXX")
    echo "ci: started: $* (at $SECONDS s)" | print_whole
    "$@" >"$log" 2>&1 || code=$?
    local outcome="done: $* (in $((SECONDS - since)) s)"
    [ "$code" = 0 ] || outcome="FAILED with $code: $* (after $((SECONDS - since)) s)"
    { echo "ci: output of: $*" && cat "$log" && echo "ci: $outcome"; } | print_whole
    [ "$code" = 0 ] || echo "$outcome" >"$LANE_LOGS/failed"
    return "$code"
}

# Stops the running lanes and their child processes. Then, as the last line, names the failed step.
end_lanes() {
    stop_lanes
    [ ! -e "$LANE_LOGS/failed" ] || echo "ci: $(cat "$LANE_LOGS/failed"); its output is above"
}

stop_lanes() {
    local pid
    for pid in "${lanes[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    for _ in $(seq 100); do
        ! are_lanes_gone || return 0
        sleep 0.1
    done
    for pid in "${lanes[@]}"; do
        kill -KILL -- "-$pid" 2>/dev/null || true
    done
}

are_lanes_gone() {
    local pid
    for pid in "${lanes[@]}"; do
        ! kill -0 -- "-$pid" 2>/dev/null || return 1
    done
}

run_lanes() {
    local lane code
    rm -rf "$LANE_LOGS"
    mkdir -p "$LANE_LOGS"
    lanes=()
    trap end_lanes EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # Each lane is a separate process group, so that it can be stopped with all its children.
    set -m
    for lane in "$@"; do
        (set -e +m; "$lane") &
        lanes+=($!)
    done
    for lane in "$@"; do
        code=0
        wait -n || code=$?
        [ "$code" = 0 ] || exit "$code"
    done
    set +m
    trap - EXIT INT TERM
}
