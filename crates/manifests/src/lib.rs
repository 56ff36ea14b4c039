//! Manifest lists and manifests: bytes in, compact columns out (Iceberg specification, "Manifests" and "Manifest Lists").
//!
//! Nothing here reads storage or knows the table of a manifest. Sizes and nesting have bounds, since tenants write these files.
