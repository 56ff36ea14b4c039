//! Audit records: who was refused what, who signed in, and who was given access to a table's files. Together with the events of changes
//! they are one stream, which the API lists and a background task exports to a file and to syslog.
//!
//! Requests put records into a queue ([`Audit::record`]). A background task writes the queue to the store in batches. The export reads the
//! store, and remembers there how far it is. A killed process loses no change. It loses the records of the last second, and repeated requests that
//! were only counted; with `audit.fail_closed`, only refusals.

mod export;
mod line;
mod measures;
mod queue;
mod recorder;
mod repeats;
mod retention;
mod stream;

pub use export::{AuditExport, try_sinks};
pub use line::AuditLine;
pub use measures::{AuditMeasures, SinkLabels};
pub use recorder::{Audit, NotRecorded};
pub use stream::{AuditStreamPage, StreamToken, audit_page};
