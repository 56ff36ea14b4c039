//! The plans of the frequent statements. Each reads only a few pages by an index, also in a database with many rows.

use tokio_postgres::{Client, NoTls};

use super::opened;
use super::server::TestDatabase;
use crate::store::postgres::{
    dropped, dropped_rows, location_rows, namespaces, old_documents, pointers, swaps, table_rows, tables, together,
};

/// Fills a schema: 3,000 organisations, and in one of them 20,000 namespaces and 100,000 tables, with their locations. Ids are made of
/// names, so that the statements can have them.
const FILL: &str = "
    INSERT INTO organisation (id, name, tier, created_ms)
        SELECT md5('o' || i)::uuid, 'o' || i, 'free', 0 FROM generate_series(0, 2999) AS i;
    INSERT INTO organisation_state (organisation) SELECT id FROM organisation;
    INSERT INTO warehouse (organisation, id, name, root, is_default, created_ms)
        SELECT id, md5('w' || name)::uuid, 'lake', 's3://b/' || name, true, 0 FROM organisation;
    INSERT INTO namespace (organisation, warehouse, key, properties)
        SELECT md5('o0')::uuid, md5('wo0')::uuid, 'ns' || i, '{}' FROM generate_series(0, 9999) AS i;
    INSERT INTO namespace (organisation, warehouse, key, parent, properties)
        SELECT md5('o0')::uuid, md5('wo0')::uuid, 'ns0' || chr(31) || i, 'ns0', '{}' FROM generate_series(0, 9999) AS i;
    ANALYZE organisation, warehouse, namespace;
    INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location, created_ms, updated_ms)
        SELECT md5('o0')::uuid, md5('wo0')::uuid, 'ns' || i % 1000, 't' || i, md5('t' || i)::uuid, 'table', 'd0',
               's3://b/o0/t' || i, 0, 0
        FROM generate_series(0, 99999) AS i;
    INSERT INTO location (organisation, warehouse, location, tabular)
        SELECT organisation, warehouse, convert_to(location, 'UTF8'), id FROM tabular;
    INSERT INTO dropped (organisation, warehouse, id, namespace, name, kind, metadata_location, location, created_ms, updated_ms,
                         dropped_ms, restorable_until_ms, purge, state, attempts, due_ms)
        SELECT md5('o0')::uuid, md5('wo0')::uuid, md5('d' || i)::uuid, 'ns0', 'd' || i, 'table', 'd0', 's3://b/o0/d' || i, 0,
               0, i, i, i % 2 = 0, 'kept', 0, i
        FROM generate_series(0, 19999) AS i;
    INSERT INTO old_document (organisation, warehouse, location, document, tabular, due_ms)
        SELECT md5('o' || i % 20)::uuid, md5('wo' || i % 20)::uuid, convert_to('s3://b/m' || i, 'UTF8'), 's3://b/m' || i,
               md5('t' || i)::uuid, i
        FROM generate_series(0, 19999) AS i;
    INSERT INTO event (organisation, id, at_ms, actor_kind, operation, object_kind, object_name, details)
        SELECT md5('o0')::uuid, i, 0, 'catalog', 'update-table', 'table', 'ns.t' || i, '{}'
        FROM generate_series(0, 19999) AS i;
    INSERT INTO receipt (organisation, principal, key, request, kind, expires_ms)
        SELECT md5('o0')::uuid, md5('p')::uuid, md5('r' || i)::uuid, sha256(''), 'done', 0
        FROM generate_series(0, 19999) AS i;
    ANALYZE organisation, organisation_state, warehouse, namespace, tabular, location, dropped, old_document, event, receipt;";

/// The ids of the organisation and of its warehouse, as the first parameters.
const IDS: &str = "md5('o0')::uuid, md5('wo0')::uuid";

/// The author of a change without a request, as parameters, and their types.
const AUTHOR: &str = "'catalog', NULL, NULL, NULL, NULL, NULL, NULL";
const AUTHOR_TYPES: &str = "text, uuid, text, uuid, text, text, text";

/// A statement with the types of its parameters, values for them, and the most pages that it may read or write. The
/// first change of a table also reads the map of its free space.
pub(super) struct Case {
    name: &'static str,
    sql: String,
    types: String,
    values: String,
    most_pages: u64,
}

pub(super) fn case(name: &'static str, sql: &str, types: &str, values: &str, most_pages: u64) -> Case {
    Case { name, sql: sql.to_owned(), types: types.to_owned(), values: values.to_owned(), most_pages }
}

/// Returns the digest of a namespace's key as an expression.
fn digest_of(key: &str) -> String {
    format!("substring(sha256('{key}') FROM 1 FOR 16)")
}

/// Returns the parameters of loads of tables with these numbers.
fn together(numbers: &[usize]) -> String {
    let list = |item: fn(usize) -> String| {
        let items: Vec<_> = numbers.iter().map(|number| item(*number)).collect();
        format!("ARRAY[{}]", items.join(", "))
    };
    let warehouses = list(|_| "md5('wo0')::uuid".to_owned());
    let digests = list(|number| digest_of(&format!("ns{number}")));
    let (namespaces, names) = (list(|number| format!("'ns{number}'")), list(|number| format!("'t{number}'")));
    format!("md5('o0')::uuid, {warehouses}, {namespaces}, {names}, {digests}")
}

fn reads() -> Vec<Case> {
    let ids = |rest: &str| {
        let digests = ["ns0", "ns1", "ns2", "ns3", "ns7"].map(|name| (format!("{{{name}}}"), digest_of(name)));
        digests.iter().fold(format!("{IDS}, {rest}"), |text, (name, digest)| text.replace(name, digest))
    };
    vec![
        case("load", table_rows::GET, "uuid, uuid, text, text, bytea", &ids("'ns7', 't1007', {ns7}"), 12),
        case("load by id", tables::GET_BY_ID, "uuid, uuid, uuid", &ids("md5('t7')::uuid"), 12),
        case(
            "load of three tables",
            tables::GET_ALL,
            "uuid, uuid, text[], text[], bytea[]",
            &ids("ARRAY['ns1', 'ns2', 'ns3'], ARRAY['t1', 't2', 't3'], ARRAY[{ns1}, {ns2}, {ns3}]"),
            30,
        ),
        case(
            "loads together",
            together::GET_TOGETHER,
            "uuid, uuid[], text[], text[], bytea[]",
            &together(&[1, 2, 3]),
            30,
        ),
        case(
            "many loads together",
            together::GET_TOGETHER,
            "uuid, uuid[], text[], text[], bytea[]",
            &together(&(0..64).map(|number| number * 15).collect::<Vec<_>>()),
            64 * 8 + 6,
        ),
        case(
            "page of tables",
            tables::LIST,
            "uuid, uuid, text, text, text, bigint, bytea",
            &ids("'ns7', 'table', 't5', 11, {ns7}"),
            30,
        ),
        case("count of tables", tables::COUNT, "uuid", "md5('o0')::uuid", 6),
        case("namespace", namespaces::GET, "uuid, uuid, text, bytea", &ids("'ns7', {ns7}"), 8),
        case("page of namespaces", namespaces::LIST_TOP, "uuid, uuid, text, bigint", &ids("'ns5', 11"), 30),
        case(
            "page of namespaces below another",
            namespaces::LIST_BELOW,
            "uuid, uuid, text, bigint, text, bytea",
            &ids("'5', 11, 'ns0', {ns0}"),
            30,
        ),
        case(
            "overlapping locations",
            location_rows::OVERLAPPING,
            "uuid, uuid, bytea[], bigint[], bytea[], bytea[], uuid[]",
            &ids(
                "ARRAY['s3:', 's3:/', 's3://b', 's3://b/o0', 's3://b/o0/new']::bytea[], ARRAY[1, 1, 1, 1, 1]::bigint[],
                  ARRAY['s3://b/o0/new/']::bytea[], ARRAY['s3://b/o0/new0']::bytea[], ARRAY[md5('new')::uuid]",
            ),
            40,
        ),
        case("replaceable", dropped_rows::REPLACEABLE, "uuid, uuid, text, bigint", &ids("'s3://b/o0/d7', 0"), 10),
        case(
            "page of dropped tables",
            dropped::LIST,
            "uuid, uuid, bigint, uuid, text, text, text, bigint",
            &ids("10000, md5('d1')::uuid, NULL, NULL, NULL, 11"),
            40,
        ),
        case("dropped tables to forget", dropped::DUE, "bigint, bigint", "100, 10", 40),
    ]
}

fn changes() -> Vec<Case> {
    let ids = |rest: &str| format!("{IDS}, {rest}");
    let receipt = "md5('p')::uuid, md5('new')::uuid, sha256(''), 'done', NULL, NULL, 1";
    let receipt_types = "uuid, uuid, bytea, text, bigint, text, bigint";
    let swap_types = format!(
        "uuid, uuid, uuid, text, text, text, text, bigint, {AUTHOR_TYPES}, text, text, text, bytea[], text[], bigint,
         text, text"
    );
    let swap = ids(&format!(
        "md5('t7')::uuid, 'd0', 'd1', 's3://b/o0/t7', '', 1, {AUTHOR}, '{{}}', 'update-table', 'update-view',
         ARRAY['s3://b/o0/t7/m0']::bytea[], ARRAY['s3://b/o0/t7/m0'], 5, 'ns7', 't7'"
    ));
    let swaps_types = format!(
        "uuid, uuid, uuid[], text[], text[], text[], text[], bigint, {AUTHOR_TYPES}, text[], text, text, bigint[], uuid[],
         bytea[], text[], bigint[], text[], text[]"
    );
    let swaps = ids(&format!(
        "ARRAY[md5('t7')::uuid, md5('t8')::uuid], ARRAY['d0', 'd0'], ARRAY['d1', 'd1'],
         ARRAY['s3://b/o0/t7', 's3://b/o0/t8'], ARRAY['', ''], 1, {AUTHOR}, ARRAY['{{}}', '{{}}'], 'update-table',
         'update-view', ARRAY[0, 1]::bigint[], ARRAY[]::uuid[], ARRAY[]::bytea[], ARRAY[]::text[], ARRAY[]::bigint[],
         ARRAY['ns7', 'ns8'], ARRAY['t7', 't8']"
    ));
    vec![
        case("commit", &pointers::SWAP_IN_PLACE, &swap_types, &swap, 150),
        case(
            "commit with a receipt",
            &pointers::SWAP_IN_PLACE_WITH_RECEIPT,
            &format!("{swap_types}, {receipt_types}"),
            &format!("{swap}, {receipt}"),
            150,
        ),
        case("commit to two tables", &swaps::SWAPS_IN_PLACE, &swaps_types, &swaps, 180),
        case(
            "commit to two tables with a receipt",
            &swaps::SWAPS_IN_PLACE_WITH_RECEIPT,
            &format!("{swaps_types}, {receipt_types}"),
            &format!("{swaps}, {receipt}"),
            200,
        ),
        case("dropped tables to purge", dropped::DUE_TO_PURGE, "bigint, bigint", "100, 3", 30),
        case(
            "claim of dropped tables",
            dropped::CLAIM,
            "uuid[], uuid[], bigint",
            "ARRAY[md5('o0')::uuid], ARRAY[md5('d2')::uuid], 200",
            60,
        ),
        // One step in the index for each of the 20 organisations, and the rows of the documents and their tables.
        case("claim of old documents", old_documents::DUE, "bigint, bigint, bigint", "100, 2, 3", 250),
    ]
}

/// Runs a statement in a transaction that is undone. Returns its plan.
async fn explain(client: &Client, case: &Case, plan_mode: &str) -> serde_json::Value {
    let Case { sql, types, values, .. } = case;
    client
        .batch_execute(&format!("BEGIN; SET LOCAL plan_cache_mode = {plan_mode}; PREPARE explained ({types}) AS {sql}"))
        .await
        .unwrap();
    let rows = client
        .simple_query(&format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained ({values})"))
        .await
        .unwrap();
    client.batch_execute("ROLLBACK; DEALLOCATE explained").await.unwrap();
    let plan = rows.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    serde_json::from_str(plan.unwrap()).unwrap()
}

/// Returns how many pages a part of a plan reads and writes.
fn pages(plan: &serde_json::Value) -> u64 {
    ["Shared Hit Blocks", "Shared Read Blocks"].iter().map(|kind| plan[kind].as_u64().unwrap()).sum()
}

/// Returns how many pages the changes of other tables read and write. They run after the statement itself, which does not count them.
fn changed_later(plan: &serde_json::Value) -> u64 {
    let parts = plan["Plans"].as_array().into_iter().flatten();
    parts.filter(|part| part["Node Type"] == "ModifyTable" && part["Operation"] == "Insert").map(pages).sum()
}

/// Lists the tables that a plan reads as a whole.
fn scanned(plan: &serde_json::Value, found: &mut Vec<String>) {
    if plan["Node Type"] == "Seq Scan" {
        found.push(plan["Relation Name"].to_string());
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        scanned(part, found);
    }
}

/// How often a statement that reads too many pages is explained again: at most once for each index that it changes.
const CLEANINGS: usize = 8;

fn pages_of(explained: &serde_json::Value) -> u64 {
    let plan = &explained[0]["Plan"];
    pages(plan) + changed_later(plan)
}

/// Fills a schema, and checks that each statement reads only a few pages by indexes.
pub(super) async fn check_plans(fill: &str, cases: &[Case]) {
    let database = TestDatabase::create().await;
    drop(opened(&database).await);
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(fill).await.unwrap();
    let mut wrong = Vec::new();
    // Servers use both kinds of plans: a prepared statement first has one for its parameters, and then one for all.
    for plan_mode in ["force_custom_plan", "force_generic_plan"] {
        for case in cases {
            let mut explained = explain(&client, case, plan_mode).await;
            // Undone changes leave dead rows. A change that fills a page of an index removes them, and reads many pages once.
            for _ in 0..CLEANINGS {
                if pages_of(&explained) <= case.most_pages {
                    break;
                }
                explained = explain(&client, case, plan_mode).await;
            }
            let (plan, pages) = (&explained[0]["Plan"], pages_of(&explained));
            let mut tables = Vec::new();
            scanned(plan, &mut tables);
            println!("{}: {pages} pages ({plan_mode})", case.name);
            if pages > case.most_pages || !tables.is_empty() {
                wrong.push(format!("{} ({plan_mode}): {pages} pages, scans {tables:?}\n{explained:#}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn frequent_statement_reads_few_pages_by_indexes_among_many_rows() {
    let cases: Vec<Case> = reads().into_iter().chain(changes()).collect();
    check_plans(FILL, &cases).await;
}
