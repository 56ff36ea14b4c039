//! The plans of the statements that authenticate a request and read its access.

use super::plans::{case, check_plans};
use crate::store::postgres::{granted, keys, users};

/// Fills a schema: 3,000 organisations, and in one of them 100,000 keys, users, roles, assignments and grants. The first key's principal
/// has 50 roles with 20 grants each, and owns 1,000 tables in 20 namespaces. Foreign keys are not checked meanwhile.
const FILL: &str = "
    SET session_replication_role = replica;
    INSERT INTO organisation (id, name, tier, created_ms)
        SELECT md5('o' || i)::uuid, 'o' || i, 'free', 0 FROM generate_series(0, 2999) AS i;
    INSERT INTO organisation_state (organisation) SELECT id FROM organisation;
    INSERT INTO api_key (organisation, id, name, role, digest, created_ms, principal)
        SELECT md5('o0')::uuid, md5('k' || i)::uuid, 'k' || i, 'none', sha256(('k' || i)::bytea), 0, md5('k' || i)::uuid
        FROM generate_series(0, 99999) AS i;
    INSERT INTO principal (organisation, id, name, created_ms)
        SELECT organisation, principal, name, created_ms FROM api_key;
    INSERT INTO principal (organisation, id, name, created_ms, issuer, subject, role, issued_ms)
        SELECT md5('o0')::uuid, md5('u' || i)::uuid, 'u' || i, 0, 'https://sso.example.com', 's' || i, 'none', 0
        FROM generate_series(0, 99999) AS i;
    INSERT INTO namespace (organisation, warehouse, key, properties, owner)
        SELECT md5('o0')::uuid, md5('w0')::uuid, 'ns' || i, '{}', md5('k' || i / 20)::uuid FROM generate_series(0, 19999) AS i;
    INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location, created_ms, updated_ms,
                         owner)
        SELECT md5('o0')::uuid, md5('w0')::uuid, 'ns' || i % 20, 't' || i, md5('t' || i)::uuid, 'table', 'd0', 's3://b/t' || i,
               0, 0, md5('k' || i / 1000)::uuid
        FROM generate_series(0, 99999) AS i;
    INSERT INTO principal_role (organisation, id, name, created_ms)
        SELECT md5('o0')::uuid, md5('p' || i)::uuid, 'p' || i, 0 FROM generate_series(0, 99999) AS i;
    INSERT INTO catalog_role (organisation, warehouse, id, name, created_ms)
        SELECT md5('o0')::uuid, md5('w0')::uuid, md5('c' || i)::uuid, 'c' || i, 0 FROM generate_series(0, 99999) AS i;
    INSERT INTO principal_role_member (organisation, principal, role)
        SELECT md5('o0')::uuid, md5('k' || i / 50)::uuid, md5('p' || i)::uuid FROM generate_series(0, 99999) AS i;
    INSERT INTO catalog_role_member (organisation, principal_role, role)
        SELECT md5('o0')::uuid, md5('p' || i)::uuid, md5('c' || i)::uuid FROM generate_series(0, 99999) AS i;
    INSERT INTO access_grant (organisation, role, kind, securable, privilege, warehouse)
        SELECT md5('o0')::uuid, md5('c' || i / 20)::uuid, 'table', uuid_send(md5('t' || i)::uuid), 'TABLE_READ_DATA',
               md5('w0')::uuid
        FROM generate_series(0, 99999) AS i;
    ANALYZE;";

#[tokio::test]
async fn authentication_and_access_read_few_pages_by_indexes_among_many_rows() {
    let cases = [
        case("key by digest", keys::BY_DIGEST, "bytea", "sha256('k7')", 10),
        case("key by id", keys::BY_ID, "uuid", "md5('k7')::uuid", 10),
        case("user", users::WITH_ORGANISATION, "uuid, uuid", "md5('o0')::uuid, md5('u7')::uuid", 10),
        case(
            "user of a token",
            users::BY_SUBJECT,
            "uuid, text, text",
            "md5('o0')::uuid, 'https://sso.example.com', 's7'",
            10,
        ),
        // 50 roles, and a few pages for each of 1,000 grants and the names of their tables.
        case(
            "access of a principal with many grants",
            granted::ACCESS,
            "uuid, uuid, uuid[], boolean",
            "md5('o0')::uuid, md5('k0')::uuid, '{}', true",
            12_000,
        ),
        case(
            "access of a principal without grants",
            granted::ACCESS,
            "uuid, uuid, uuid[], boolean",
            "md5('o0')::uuid, md5('k99999')::uuid, '{}', true",
            30,
        ),
        case("grants of a role", granted::OF_ROLE, "uuid, uuid", "md5('o0')::uuid, md5('c7')::uuid", 250),
    ];
    check_plans(FILL, &cases).await;
}
