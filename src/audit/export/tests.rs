//! Sinks that hang or are slow.

use std::sync::atomic::AtomicU64;

use tokio::net::UnixDatagram;
use tokio::sync::oneshot;

use super::*;
use crate::base::clock::Clock;
use crate::store::{AuditDecision, AuditEntry, AuditRecord, AuditType};

fn audit(folder: &tempfile::TempDir, settings: &AuditConfig) -> Arc<Audit> {
    let store = crate::store::open(&folder.path().join("t.db")).unwrap();
    Arc::new(Audit::new(store, Clock::System, settings))
}

async fn leave_records(audit: &Audit, count: usize) {
    for _ in 0..count {
        let mut entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
        entry.actor_id = Some(crate::base::clock::fresh_uuid());
        audit.note(AuditRecord { id: 0, organisation: None, at_ms: audit.clock.now_ms() - 5_000, entry });
    }
    audit.write().await.unwrap();
}

#[tokio::test]
async fn failing_file_closes_has_a_lag_that_grows_and_a_reload_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = AuditConfig { fail_closed: true, ..AuditConfig::default() };
    settings.file.path = folder.path().to_owned();
    let audit = audit(&folder, &settings);
    let export = AuditExport::new(&audit);
    leave_records(&audit, 1).await;
    export.run().await.unwrap_err();
    assert!(audit.is_closed());
    assert_eq!(audit.failing_part(), "the export to the file or to syslog");
    let lag_s = || audit.export_lag_s().first().map_or(0.0, |(_, lag_s)| *lag_s);
    let first = lag_s();
    assert!(first >= 5.0, "{first}");
    // No run is needed for the lag to grow.
    while lag_s() <= first {
        tokio::task::yield_now().await;
    }
    settings.file.path = folder.path().join("good.jsonl");
    audit.set_settings(&settings);
    assert_eq!(export.run().await.unwrap(), 1);
    assert!(!audit.is_closed());
    settings.file.path.clear();
    audit.set_settings(&settings);
    export.run().await.unwrap();
    assert!(audit.export_lag_s().is_empty(), "a sink that is no longer configured has no lag");
}

#[tokio::test]
async fn stop_does_not_wait_for_a_receiver_that_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let mut settings = AuditConfig::default();
    settings.syslog.address = format!("unix:{}", path.display()).parse().unwrap();
    let audit = audit(&folder, &settings);
    leave_records(&audit, 1_000).await;
    let (export, stop) = (AuditExport::new(&audit), CancellationToken::new());
    stop.cancel();
    let begun = Instant::now();
    let error = export.run_until(&stop, LAST_RUN_TIME).await.unwrap_err();
    assert!(error.to_string().contains("slow"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn slow_receiver_gets_each_record_once_in_batches_that_move_the_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let mut settings = AuditConfig::default();
    settings.syslog.address = format!("unix:{}", path.display()).parse().unwrap();
    let audit = audit(&folder, &settings);
    leave_records(&audit, 60).await;
    let (export, received, (end, mut ended)) =
        (AuditExport::new(&audit), Arc::new(AtomicU64::new(0)), oneshot::channel());
    let count = Arc::clone(&received);
    let reader = tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            tokio::select! {
                read = receiver.recv(&mut buffer) => drop(read.unwrap()),
                _ = &mut ended => return,
            }
            count.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(export.run().await.unwrap(), 60);
    while received.load(Ordering::Relaxed) < 60 {
        tokio::task::yield_now().await;
    }
    end.send(()).unwrap();
    reader.await.unwrap();
    assert_eq!(received.load(Ordering::Relaxed), 60);
}

#[test]
fn batch_follows_the_speed_of_the_receiver_within_bounds() {
    let (slow, fast) = (BATCH_TIME * 3, BATCH_TIME / 4);
    assert_eq!((next_batch(32, slow), next_batch(32, BATCH_TIME), next_batch(32, fast)), (16, 32, 64));
    assert_eq!((next_batch(1, slow), next_batch(400, fast)), (1, BATCH));
}
