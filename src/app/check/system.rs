//! Checks the machine: the limit of file descriptors, and the clock.

use std::fs;
use std::time::UNIX_EPOCH;

use super::found::Found;
use super::subject::Subject;
use crate::base::clock::Clock;
use crate::server::raise_descriptor_limit;

/// The limit of file descriptors below which the check warns.
const FEW_DESCRIPTORS: u64 = 4_096;

/// 2026-01-01. A clock before this day is not set.
const BEFORE_RELEASE_S: i64 = 1_767_225_600;

/// How far the clock may be behind the last change of the database, in seconds.
const BEHIND_S: i64 = 60;

/// Checks the limit of file descriptors.
pub(super) async fn descriptors() -> Vec<Found> {
    let limit = raise_descriptor_limit();
    vec![match limit {
        0..FEW_DESCRIPTORS => Found::warning(
            "",
            format!("{limit}: each connection needs one. Raise the limit (`LimitNOFILE=65536` in a systemd unit)"),
        ),
        _ => Found::ok("", format!("up to {limit}")),
    }]
}

/// Checks that the clock is set, and not behind the last change of the database.
pub(super) async fn clock(subject: &Subject) -> Vec<Found> {
    let now_s = Clock::System.now_ms() / 1_000;
    if now_s < BEFORE_RELEASE_S {
        return vec![Found::failed(
            "",
            "is not set: tokens and signatures of clouds would be refused. Set it, for example with NTP",
        )];
    }
    let changed = fs::metadata(subject.config.database()).and_then(|found| found.modified()).ok();
    let changed_s = changed.and_then(|changed| i64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok());
    match changed_s {
        Some(changed_s) if changed_s > now_s + BEHIND_S => {
            let behind_s = changed_s - now_s;
            vec![Found::warning("", format!("is {behind_s} s behind the last change of the database: set it"))]
        }
        _ => vec![Found::ok("", "is set")],
    }
}
