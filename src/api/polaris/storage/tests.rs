use super::*;

fn root() -> Location {
    Location::parse("s3://bucket/lake").unwrap()
}

fn parse(info: Value) -> StorageConfigInfo {
    serde_json::from_value(info).unwrap()
}

fn settings(info: Value, properties: &mut Properties) -> Result<Value, String> {
    let settings = parse(info).settings(&root(), properties);
    settings.map(Option::unwrap_or_default).map_err(|error| error.body()["error"]["message"].to_string())
}

fn profile(settings: &Value) -> StorageProfile {
    serde_json::from_value(settings.clone()).unwrap()
}

#[test]
fn storage_of_polaris_becomes_a_warehouse_and_is_shown_again() {
    let info = json!({ "storageType": "S3", "allowedLocations": ["s3://bucket/lake/a"], "region": "eu-west-1",
        "roleArn": "arn:aws:iam::1:role/r", "externalId": "x", "endpoint": "https://public", "endpointInternal": "https://inside",
        "stsEndpoint": "https://sts", "pathStyleAccess": true, "stsUnavailable": false, "kmsUnavailable": false });
    let made = settings(info, &mut Properties::new()).unwrap();
    let StorageProfile::S3(s3) = profile(&made) else { panic!("{made}") };
    let texts = (s3.endpoint.as_deref(), s3.client_endpoint.as_deref(), s3.role_arn.as_deref(), s3.path_style);
    assert_eq!(texts, (Some("https://inside"), Some("https://public"), Some("arn:aws:iam::1:role/r"), true));
    let shown = StorageConfigInfo::from_warehouse("s3://bucket/lake", &profile(&made), &Properties::new());
    let shown = serde_json::to_value(shown).unwrap();
    assert_eq!(shown["allowedLocations"], json!(["s3://bucket/lake"]));
    for (field, value) in [
        ("endpoint", json!("https://public")),
        ("endpointInternal", json!("https://inside")),
        ("stsUnavailable", json!(false)),
        ("storageType", json!("S3")),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    let azure = json!({ "storageType": "AZURE", "tenantId": "t", "hierarchical": true });
    let mut properties = Properties::new();
    let made = settings(azure, &mut properties).unwrap();
    let shown = StorageConfigInfo::from_warehouse("abfss://c@a.dfs.core.windows.net/x", &profile(&made), &properties);
    let shown = serde_json::to_value(shown).unwrap();
    assert_eq!((&shown["tenantId"], &shown["hierarchical"]), (&json!("t"), &json!(true)));
}

#[test]
fn credentials_in_properties_are_removed_from_them() {
    let mut properties: Properties =
        [("a", "b"), ("tidewater.credentials.kind", "aws-key"), ("tidewater.credentials.access-key-id", "AKIA")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let made = settings(json!({ "storageType": "S3", "region": "a" }), &mut properties).unwrap();
    assert_eq!(made["credentials"], json!({ "kind": "aws-key", "access-key-id": "AKIA" }));
    assert_eq!(properties.into_keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn field_without_effect_is_refused_by_name() {
    for (info, says) in [
        (json!({ "storageType": "S3", "region": "a", "storageName": "x" }), "storageName"),
        (json!({ "storageType": "S3", "region": "a", "userArn": "x" }), "userArn"),
        (json!({ "storageType": "S3" }), "region"),
        (json!({ "storageType": "S3", "region": "a", "roleArn": "x", "stsUnavailable": true }), "contradict"),
        (json!({ "storageType": "S3", "region": "a", "encryptionKeys": ["k", "l"] }), "one KMS key"),
        (json!({ "storageType": "S3", "region": "a", "allowedLocations": ["s3://other/x"] }), "s3://other/x"),
        (json!({ "storageType": "AZURE", "tenantId": "t", "consentUrl": "u" }), "consentUrl"),
        (json!({ "storageType": "GCS", "gcsServiceAccount": "s" }), "gcsServiceAccount"),
    ] {
        let error = settings(info.clone(), &mut Properties::new()).unwrap_err();
        assert!(error.contains(says), "{info}: {error}");
    }
    for unknown in [json!({ "storageType": "FILE", "region": "a" }), json!({ "storageType": "OTHER" })] {
        assert!(serde_json::from_value::<StorageConfigInfo>(unknown).is_err());
    }
}

#[test]
fn update_keeps_settings_that_polaris_does_not_have() {
    let current = profile(&json!({ "type": "s3", "region": "a", "session-duration-s": 900, "role-arn": "r" }));
    let shown = StorageConfigInfo::from_warehouse("s3://bucket/lake", &current, &Properties::new());
    let update = |info: &StorageConfigInfo, is_sealed: bool, properties: &mut Properties| {
        info.update((&root(), &current, is_sealed), properties).map_err(|error| error.body().to_string())
    };
    assert_eq!(update(&shown, true, &mut Properties::new()), Ok(None));
    let mut moved = serde_json::to_value(&shown).unwrap();
    moved["region"] = "b".into();
    let moved = parse(moved);
    let changed = update(&moved, false, &mut Properties::new()).unwrap().unwrap();
    assert_eq!(
        (&changed["region"], &changed["session-duration-s"], &changed["role-arn"]),
        (&json!("b"), &json!(900), &json!("r"))
    );
    assert!(update(&moved, true, &mut Properties::new()).unwrap_err().contains("tidewater.credentials.kind"));
    let mut again: Properties = [("tidewater.credentials.kind".to_owned(), "ambient".to_owned())].into();
    assert_eq!(update(&shown, true, &mut again).unwrap().unwrap()["credentials"], json!({ "kind": "ambient" }));
    assert!(update(&parse(json!({ "storageType": "GCS" })), false, &mut Properties::new()).is_err());
}
