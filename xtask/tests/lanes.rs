//! Tests `.ci/lanes.sh`, which runs the steps of CI in parallel.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Waits at most 20 seconds until `test` with these arguments succeeds.
const WAIT_FOR: &str = r#"
    wait_for() {
        for ((looks = 0; looks < 2000; looks++)); do
            if test "$@"; then return; fi
            sleep 0.01
        done
        echo "waited too long for: test $*"
        exit 99
    }"#;

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/lanes.sh")
}

/// Runs these lanes in a shell. `$FOLDER` is a temporary folder of this run.
fn run(name: &str, lanes: &str) -> (PathBuf, Output) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lanes-{name}"));
    let script = format!(
        "set -euo pipefail\nLANE_LOGS=\"$FOLDER/output\"\n. {}\n{WAIT_FOR}\n{lanes}\necho after the lanes\n",
        library().display()
    );
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new("bash").args(["-c", &script]).env("FOLDER", &folder).output().unwrap();
    (folder, output)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn lanes_run_in_parallel_and_outputs_do_not_mix() {
    // Each lane waits for the other's file between its two lines.
    let lanes = r#"
        meet() { touch "$FOLDER/$1"; wait_for -e "$FOLDER/$2"; }
        say() { echo "$1 begins"; meet "$1" "$2"; echo "$1 ends"; }
        left() { step say left right; }
        right() { step say right left; }
        run_lanes left right"#;
    let (_, output) = run("whole", lanes);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("left begins\nleft ends\nci: done: say left right"), "{text}");
    assert!(text.contains("right begins\nright ends\nci: done: say right left"), "{text}");
    assert!(text.ends_with("after the lanes\n"), "{text}");
}

#[test]
fn failed_step_is_named_last_and_ends_the_other_lane_with_its_children() {
    let lanes = r#"
        breaks() { echo before; wait_for -s "$FOLDER/child"; return 7; }
        waits() { sleep 300 & echo $! >"$FOLDER/child"; wait; }
        failing() { step breaks; step echo never; }
        waiting() { step waits; }
        run_lanes failing waiting"#;
    let (folder, output) = run("failure", lanes);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("ci: FAILED with 7: breaks"), "{text}");
    assert!(text.contains("before\n") && !text.contains("never") && !text.contains("after the lanes"), "{text}");
    let child = std::fs::read_to_string(folder.join("child")).unwrap();
    assert!(has_ended(child.trim()), "process {child} still runs");
}

#[test]
fn stopped_run_ends_its_lanes_and_their_children() {
    let lanes = r#"
        waits() { sleep 300 & echo $! >"$FOLDER/child"; kill -TERM $$; wait; }
        waiting() { step waits; }
        run_lanes waiting"#;
    let (folder, output) = run("stopped", lanes);
    assert_eq!(output.status.code(), Some(143), "{}", text(&output));
    let child = std::fs::read_to_string(folder.join("child")).unwrap();
    assert!(has_ended(child.trim()), "process {child} still runs");
}

/// Returns whether a process has ended. The system may need a moment to remove it.
fn has_ended(id: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    let process = Path::new("/proc").join(id);
    while process.join("cmdline").exists() && std::fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty())
    {
        if Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
