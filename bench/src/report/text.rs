//! Renders a report as text tables.

use std::fmt::Write as _;

use super::ratio::{Ratio, Spread};
use super::{Outcome, Report, Row, Who};
use crate::tally::Figures;

/// Returns the whole report as text.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    header(&mut out, report);
    let mut last_heading = String::new();
    for row in &report.rows {
        let heading = heading(row);
        if heading != last_heading {
            line(&mut out, &format!("\n{heading}"));
            line(&mut out, COLUMNS.trim_end());
            last_heading = heading;
        }
        for outcome in &row.results {
            line(&mut out, &figures(row.connections, outcome));
        }
        for ratio in &row.ratios {
            line(&mut out, &ratio_line(ratio));
        }
    }
    growth(&mut out, report);
    failures(&mut out, report);
    list(&mut out, "Problems", &report.problems);
    list(&mut out, "Notes", &report.notes);
    if !report.complete {
        line(&mut out, "\nThe run was stopped before its end.");
    }
    out
}

const COLUMNS: &str = "  conns  who        req/s    p50 ms    p90 ms    p99 ms  p99.9 ms    max ms      MB/s       409";

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if !items.is_empty() {
        line(out, &format!("\n{title}"));
        for item in items {
            line(out, &format!("  {item}"));
        }
    }
}

fn header(out: &mut String, report: &Report) {
    let machine = &report.machine;
    let memory = machine.memory_bytes.map_or_else(String::new, |bytes| format!(", {} GB", bytes / 1_000_000_000));
    let processor = machine.processor.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let disk = machine.file_system.as_ref().map_or_else(String::new, |name| format!(", {name}"));
    line(out, &format!("tidewater-bench {}", report.version));
    line(out, &format!("machine  {} cores{processor}{memory}, {}{disk}", machine.cores, machine.kernel));
    for target in &report.targets {
        let prefix = target.prefix.as_ref().map_or_else(String::new, |prefix| format!(", prefix {prefix}"));
        let server = target.server.as_ref().map_or_else(String::new, |server| format!(", {server}"));
        line(out, &format!("{:7}  {}{prefix}{server}", target.who.name(), target.uri));
    }
    let settings = &report.settings;
    let rounds = match settings.rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds in turns"),
    };
    line(
        out,
        &format!(
            "loads    {} s after {} s of warm-up, {rounds}, {} client thread(s)",
            settings.seconds, settings.warm_up_seconds, settings.client_threads
        ),
    );
}

fn heading(row: &Row) -> String {
    let mut heading = row.workload.clone();
    if let Some(snapshots) = row.snapshots {
        let plural = if snapshots == 1 { "" } else { "s" };
        let _ = write!(heading, ", {} snapshot{plural}", thousands(snapshots as f64));
    }
    if let Some(bytes) = row.answer_bytes.filter(|&bytes| bytes > 0) {
        let _ = write!(heading, ", {} an answer", size(bytes));
    }
    if let Some(floor) = &row.floor {
        let _ = write!(heading, " (floor: {floor})");
    } else if let Some(bytes) = row.document_bytes {
        let _ = write!(heading, ", {}", size(bytes));
    }
    heading
}

fn figures(connections: usize, outcome: &Outcome) -> String {
    let Figures { requests_per_s, megabytes_per_s, latency_ms, conflicts, .. } = outcome.figures;
    let mut text = format!("{connections:7}  {:6} {:>9}", outcome.who.name(), thousands(requests_per_s));
    for value in [latency_ms.p50, latency_ms.p90, latency_ms.p99, latency_ms.p99_9, latency_ms.max] {
        let _ = write!(text, " {:>9}", three_digits(value));
    }
    let _ = write!(text, " {:>9}", three_digits(megabytes_per_s));
    if conflicts > 0 {
        let _ = write!(text, " {:>9}", thousands(conflicts as f64));
    }
    let failed: u64 = outcome.failures.values().map(|failures| failures.count).sum();
    if failed > 0 {
        let _ = write!(text, "  {} FAILED", thousands(failed as f64));
    }
    text
}

/// Returns the line of a ratio: the medians below the compared figures, then the range over the rounds.
fn ratio_line(ratio: &Ratio) -> String {
    let names = format!("{}/{}", ratio.of.name(), ratio.to.name());
    let Some(rate) = ratio.requests_per_s else { return format!("  {names:14}  nothing to compare") };
    // A share of the floor is shown in percent, a comparison of two catalogs as a factor.
    let (factor, unit) = if ratio.to == Who::Floor { (100.0, "%") } else { (1.0, "x") };
    let mut text = format!("  {names:14}{:>7} {unit}", three_digits(rate.median * factor));
    for spread in [ratio.p50, ratio.p90, ratio.p99] {
        let shown = spread.map_or_else(String::new, |spread| format!("{} x", three_digits(spread.median)));
        let _ = write!(text, " {shown:>9}");
    }
    let range = |spread: Spread, factor: f64| {
        format!("{} to {}", three_digits(spread.min * factor), three_digits(spread.max * factor))
    };
    let _ = write!(text, "  rounds: req/s {} {unit}", range(rate, factor));
    for (name, spread) in [("p50", ratio.p50), ("p99", ratio.p99)] {
        if let Some(spread) = spread {
            let _ = write!(text, ", {name} {} x", range(spread, 1.0));
        }
    }
    text
}

fn growth(out: &mut String, report: &Report) {
    if report.growth.is_empty() {
        return;
    }
    line(out, "\nWhat more snapshots cost (p50)");
    for growth in &report.growth {
        line(
            out,
            &format!(
                "  {}, {} connection(s), {}: at {} snapshots {:.2} x that at {}",
                growth.workload,
                growth.connections,
                growth.who.name(),
                thousands(growth.to_snapshots as f64),
                growth.p50_ratio,
                thousands(growth.from_snapshots as f64),
            ),
        );
    }
}

fn failures(out: &mut String, report: &Report) {
    let mut begun = false;
    for row in &report.rows {
        for outcome in &row.results {
            for (kind, failures) in &outcome.failures {
                if !begun {
                    line(out, "\nUnexpected answers (warm-up included)");
                    begun = true;
                }
                line(
                    out,
                    &format!(
                        "  {}, {} connection(s), {}: {kind} {} times, first: {}",
                        row.workload,
                        row.connections,
                        outcome.who.name(),
                        thousands(failures.count as f64),
                        failures.sample
                    ),
                );
            }
        }
    }
}

/// Formats a number with separators of thousands; below 100 with one decimal place, unless it is whole.
fn thousands(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + 4);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with three significant digits, omitting only decimal places.
fn three_digits(value: f64) -> String {
    match value {
        v if v < 0.0005 => "0".to_owned(),
        v if v < 1.0 => format!("{v:.3}"),
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => thousands(v.round()),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} KB", three_digits(bytes as f64 / 1e3)),
        _ => format!("{} MB", three_digits(bytes as f64 / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Measured;
    use super::super::tests::{report, round};
    use super::*;

    #[test]
    fn numbers_have_separators_and_three_significant_digits() {
        assert_eq!([0.0, 7.0, 12.34, 999.6, 1234567.0].map(thousands), ["0", "7", "12.3", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.0421, 1.234, 45.67, 1234.5].map(three_digits), ["0", "0.042", "1.23", "45.7", "1,235"]);
        assert_eq!([12, 2_412, 771_900, 2_500_000].map(size), ["12 B", "2.41 KB", "772 KB", "2.50 MB"]);
    }

    #[test]
    fn report_shows_figures_ratios_and_failures() {
        let mut row = Row::new("load", 8);
        row.snapshots = Some(1000);
        row.answer_bytes = Some(772_000);
        row.floor = Some("bare handler".into());
        let mut second = round(700, 3);
        second.fail("503".into(), || "too busy".into());
        second.conflicts = 12;
        let measured = vec![
            Measured { who: Who::Target, rounds: vec![round(700, 3), second] },
            Measured { who: Who::Floor, rounds: vec![round(1000, 2), round(1000, 2)] },
        ];
        let text = render(&report(vec![row.finish(measured).unwrap()]));
        assert!(text.contains("load, 1,000 snapshots, 772 KB an answer (floor: bare handler)"), "{text}");
        assert!(text.contains("rounds: req/s 70.0 to 70.0 %, p50 1.50 to 1.50 x"), "{text}");
        assert!(text.contains("503 1 times, first: too busy"), "{text}");
        assert!(text.contains("1 FAILED"), "{text}");
    }

    #[test]
    fn columns_are_aligned_with_their_names() {
        let row = Row::new("load", 64).finish(vec![Measured { who: Who::Target, rounds: vec![round(10, 1)] }]).unwrap();
        let shown = figures(64, &row.results[0]);
        assert_eq!(shown.find("target"), COLUMNS.find("who"));
        let end_of = |text: &str, name: &str| text.find(name).map(|start| start + name.len());
        assert_eq!(end_of(&shown, " 1.00"), end_of(COLUMNS, "p50 ms"));
        let measured = vec![
            Measured { who: Who::Target, rounds: vec![round(10, 1)] },
            Measured { who: Who::Versus, rounds: vec![round(10, 1)] },
        ];
        let shown = ratio_line(&Row::new("load", 64).finish(measured).unwrap().ratios[0]);
        assert_eq!(end_of(&shown, " 1.00 x"), end_of(COLUMNS, "req/s"));
    }
}
