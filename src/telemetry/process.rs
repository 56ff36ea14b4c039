//! Figures of the process, by the names that Prometheus' own clients use. They are read from `/proc` at each scrape.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Reads the figures of this process. Leaves out those that the system does not tell.
#[derive(Debug)]
pub(super) struct Process;

/// Figures from `/proc/self/stat` (proc(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: i64,
    virtual_bytes: i64,
    resident_bytes: i64,
    /// When the process started, in seconds after the machine.
    started_s: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Parses the line. The name of the program, in parentheses, may contain spaces and parentheses.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.get(line.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
        // The first field here is the third of the manual.
        let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
        let ticks = clock_ticks_per_second() as f64;
        Some(Self {
            cpu_seconds: (number(14)? + number(15)?) as f64 / ticks,
            threads: number(20)?,
            started_s: number(22)? as f64 / ticks,
            virtual_bytes: number(23)?,
            resident_bytes: number(24)?.saturating_mul(i64::try_from(page_size()).ok()?),
        })
    }
}

/// Returns when the machine started, in seconds since 1970.
fn machine_started_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            gauge("process_open_fds", "Open file descriptors", open.count() as f64)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            gauge("process_max_fds", "The most file descriptors that may be open", most as f64)?;
        }
        let Some(stat) = Stat::read() else { return Ok(()) };
        gauge("process_threads", "Threads", stat.threads as f64)?;
        gauge("process_virtual_memory_bytes", "Virtual memory", stat.virtual_bytes as f64)?;
        gauge("process_resident_memory_bytes", "Memory in use", stat.resident_bytes as f64)?;
        if let Some(machine) = machine_started_s() {
            let since = machine + stat.started_s;
            gauge("process_start_time_seconds", "When the process started, in seconds since 1970", since)?;
        }
        let cpu = ConstCounter::new(stat.cpu_seconds);
        let help = "Processor time that the process used";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_a_program_with_parentheses_in_its_name_is_parsed() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 200 100 0 0 20 0 9 0 5000 1048576 25 1 1 0";
        let stat = Stat::parse(line).unwrap();
        let ticks = clock_ticks_per_second() as f64;
        assert_eq!((stat.threads, stat.virtual_bytes), (9, 1_048_576));
        assert_eq!((stat.cpu_seconds, stat.started_s), (300.0 / ticks, 5_000.0 / ticks));
        assert_eq!(stat.resident_bytes, 25 * page_size() as i64);
    }

    #[test]
    fn figures_of_this_process_are_found() {
        let stat = Stat::read().unwrap();
        assert!(stat.threads >= 1 && stat.resident_bytes > 0 && stat.virtual_bytes > stat.resident_bytes, "{stat:?}");
        assert!(machine_started_s().unwrap() > 1e9);
    }
}
