//! What every store promises, and what only the embedded one has to show.

mod conforms {
    use std::sync::Arc;

    use tempfile::TempDir;

    use crate::store::Store;
    use crate::store::sqlite::SqliteStore;
    use crate::store::suite::conformance;

    async fn fresh() -> (Arc<dyn Store>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("catalog.db")).unwrap();
        (Arc::new(store), folder)
    }

    conformance!(fresh);
}
