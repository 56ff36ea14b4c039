//! Plan tasks: sealed tokens that say which part of which scan to answer. The client keeps them, so the server stores nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::error::PlanError;
use super::position::Position;
use crate::sealing::PassKeys;
use crate::store::WarehouseRef;
use crate::warehouse::{PassPurpose, open_pass, seal_pass};

/// The most bytes of all tokens of a plan, about. Each token has the filter.
const MAX_TOKENS_BYTES: usize = 8 << 20;

/// The most tokens of a plan.
const MAX_TOKENS: usize = 10_000;

/// The bytes of a token without its filter, about.
const TOKEN_BYTES: usize = 512;

/// Which snapshots a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Range {
    /// The content of a snapshot.
    #[serde(rename = "at")]
    At(i64),
    /// The files that were appended after the first snapshot, up to the last one.
    #[serde(rename = "between")]
    Between(i64, i64),
}

/// What a plan task stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PlanTask {
    /// The table's id.
    pub(super) table: Uuid,
    /// The principal that planned the scan. `None` for a caller without one.
    pub(super) principal: Option<Uuid>,
    /// The digest of the restrictions within which the scan was planned.
    pub(super) within: Option<String>,
    /// When it expires, in milliseconds since 1970.
    pub(super) expires_ms: i64,
    pub(super) range: Range,
    pub(super) schema_id: i32,
    /// The filter as the client sent it.
    pub(super) filter: Option<Box<RawValue>>,
    pub(super) case_sensitive: bool,
    /// The field ids of columns whose statistics are wanted.
    pub(super) statistics: Vec<i32>,
    pub(super) from: Position,
    /// The end, exclusive.
    pub(super) to: Position,
}

/// Returns how many tokens a plan may have, so that their size is bounded: fewer if the filter is long.
pub(super) fn most_tokens(filter: Option<&RawValue>) -> usize {
    let filter_bytes = filter.map_or(0, |filter| filter.get().len());
    (MAX_TOKENS_BYTES / (TOKEN_BYTES + filter_bytes * 3 / 2)).clamp(1, MAX_TOKENS)
}

impl PlanTask {
    /// Seals it into a token for a warehouse.
    ///
    /// # Errors
    /// The reason, for the log.
    pub(super) fn seal(&self, keys: &PassKeys, warehouse_ref: WarehouseRef) -> Result<String, String> {
        let text = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        let sealed = seal_pass(keys, PassPurpose::PlanTask, warehouse_ref, &text).map_err(|error| error.to_string())?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a token of a table and principal at a time.
    ///
    /// # Errors
    /// `NoSuchTask` if it is malformed, changed, expired, or of another warehouse, table, principal or restriction.
    pub(super) fn open(
        token: &str,
        keys: Option<&PassKeys>,
        warehouse_ref: WarehouseRef,
        (table, principal, within): (Uuid, Option<Uuid>, Option<&str>),
        now_ms: i64,
    ) -> Result<Self, PlanError> {
        let opened = || {
            let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
            // Without keys no token can have been sealed.
            let text = open_pass(keys?, PassPurpose::PlanTask, warehouse_ref, &sealed).ok()?;
            serde_json::from_slice::<Self>(text.expose()).ok()
        };
        let is_own = |task: &Self| (task.table, task.principal, task.within.as_deref()) == (table, principal, within);
        opened().filter(|task| is_own(task) && now_ms < task.expires_ms).ok_or(PlanError::NoSuchTask)
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::ids::{OrganisationId, WarehouseId};

    use super::*;
    use crate::sealing::{KEY_BYTES, KeyRing};

    const TABLE: Uuid = Uuid::from_u128(7);
    const PRINCIPAL: Option<Uuid> = Some(Uuid::from_u128(8));

    fn place(organisation: u128, warehouse: u128) -> WarehouseRef {
        let (organisation, warehouse) =
            (OrganisationId(Uuid::from_u128(organisation)), WarehouseId(Uuid::from_u128(warehouse)));
        WarehouseRef { organisation, warehouse }
    }

    fn keys(number: u8) -> PassKeys {
        let key = base64::engine::general_purpose::STANDARD.encode([number; KEY_BYTES]);
        PassKeys::new(&KeyRing::parse(&key).unwrap())
    }

    fn task() -> PlanTask {
        PlanTask {
            table: TABLE,
            principal: PRINCIPAL,
            within: None,
            expires_ms: 100,
            range: Range::Between(1, i64::MAX),
            schema_id: 3,
            filter: Some(RawValue::from_string(r#"{"type":"is-null","term":"a"}"#.to_owned()).unwrap()),
            case_sensitive: false,
            statistics: vec![1, 5],
            from: Position { manifest: 1, entry: 2 },
            to: Position::before(9),
        }
    }

    fn opened(token: &str, keys: &PassKeys, place: WarehouseRef, now_ms: i64) -> Option<PlanTask> {
        PlanTask::open(token, Some(keys), place, (TABLE, PRINCIPAL, None), now_ms).ok()
    }

    #[test]
    fn token_opens_with_all_that_it_stands_for() {
        let token = task().seal(&keys(1), place(1, 2)).unwrap();
        let found = opened(&token, &keys(1), place(1, 2), 99).unwrap();
        assert_eq!(serde_json::to_string(&found).unwrap(), serde_json::to_string(&task()).unwrap());
    }

    #[test]
    fn changed_expired_or_foreign_token_does_not_open() {
        let token = task().seal(&keys(1), place(1, 2)).unwrap();
        assert!(opened(&token, &keys(1), place(1, 2), 100).is_none(), "expired");
        assert!(opened(&token, &keys(2), place(1, 2), 0).is_none(), "another catalog's");
        assert!(opened(&token, &keys(1), place(1, 3), 0).is_none(), "another warehouse's");
        assert!(opened(&token, &keys(1), place(3, 2), 0).is_none(), "another organisation's");
        let of_other = |holder| PlanTask::open(&token, Some(&keys(1)), place(1, 2), holder, 0);
        assert!(of_other((Uuid::nil(), PRINCIPAL, None)).is_err() && of_other((TABLE, None, None)).is_err());
        assert!(of_other((TABLE, PRINCIPAL, Some("another restriction"))).is_err());
        assert!(PlanTask::open(&token, None, place(1, 2), (TABLE, PRINCIPAL, None), 0).is_err());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(opened(&changed, &keys(1), place(1, 2), 0).is_none(), "byte {at}");
        }
        for text in ["", "x", "ü", "AAAA"] {
            assert!(opened(text, &keys(1), place(1, 2), 0).is_none(), "{text}");
        }
    }

    #[test]
    fn pass_for_signing_is_no_plan_task() {
        let text = serde_json::to_vec(&task()).unwrap();
        let sealed = seal_pass(&keys(1), PassPurpose::Signing, place(1, 2), &text).unwrap();
        assert!(opened(&URL_SAFE_NO_PAD.encode(sealed), &keys(1), place(1, 2), 0).is_none());
    }

    #[test]
    fn tokens_with_a_long_filter_are_few() {
        let filter = |bytes: usize| RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap();
        assert_eq!(most_tokens(None), 10_000);
        let longest = filter(1 << 20);
        let most = most_tokens(Some(&longest));
        let token = PlanTask { filter: Some(longest), ..task() }.seal(&keys(1), place(1, 2)).unwrap();
        assert!(most >= 5 && most * token.len() <= MAX_TOKENS_BYTES + token.len(), "{most} of {} bytes", token.len());
    }
}
