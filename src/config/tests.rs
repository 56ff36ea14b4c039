//! Tests of defaults, sources and error messages of settings.

use tidewater_core::access::Role;

use super::*;
use crate::base::secret::Secret;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(file: Option<&str>, environment: &[(&str, &str)], flags: &Flags) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidewater.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    Config::load(file.map(|_| path.as_path()), variables(environment), flags).map_err(|error| error.to_string())
}

fn refused(file: Option<&str>, environment: &[(&str, &str)]) -> String {
    load(file, environment, &Flags::default()).unwrap_err()
}

#[test]
fn empty_sources_give_the_defaults() {
    let config = load(None, &[("HOME", "/home/a"), ("PATH", "/bin")], &Flags::default()).unwrap();
    assert_eq!(config, Config { data_dir: "/home/a/.local/share/tidewater".into(), ..Config::default() });
}

#[test]
fn flag_overrides_environment_and_environment_overrides_file() {
    let file = "listen = '127.0.0.1:1'\n[log]\nlevel = 'warn'\nformat = 'json'\n[cache]\nmetadata_bytes = 5";
    let environment =
        [("TIDEWATER_LISTEN", "127.0.0.1:2"), ("TIDEWATER_LOG__LEVEL", "debug"), ("TIDEWATER_DATA_DIR", "/env")];
    let mut flags = Flags { listen: Some("127.0.0.1:3".parse().unwrap()), ..Flags::default() };
    let config = load(Some(file), &environment, &flags).unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!((config.log.level.as_str(), config.log.format), ("debug", LogFormat::Json));
    assert_eq!((config.cache.metadata_bytes, config.data_dir), (5, PathBuf::from("/env")));

    flags.listen = None;
    assert_eq!(load(Some(file), &environment, &flags).unwrap().listen.port(), 2);
    assert_eq!(load(Some(file), &[], &flags).unwrap().listen.port(), 1);
}

#[test]
fn default_data_folder_does_not_depend_on_the_current_folder() {
    let data_dir = |environment: &[(&str, &str)]| load(None, environment, &Flags::default()).unwrap().data_dir;
    assert_eq!(data_dir(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), PathBuf::from("/x/tidewater"));
    assert_eq!(data_dir(&[("HOME", "/h"), ("XDG_DATA_HOME", "x")]), PathBuf::from("/h/.local/share/tidewater"));
    assert_eq!(data_dir(&[("HOME", "/h"), ("TIDEWATER_DATA_DIR", "~/t")]), PathBuf::from("/h/t"));
    let in_help = |environment: &[(&str, &str)]| data_dir_unless_set(variables(environment));
    assert_eq!(in_help(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), PathBuf::from("/x/tidewater"));
    assert_eq!(in_help(&[("HOME", "/h"), ("TIDEWATER_DATA_DIR", "~/t")]), PathBuf::from("/h/t"));
    let here = std::env::current_dir().unwrap();
    assert_eq!(data_dir(&[]), here.join("tidewater-data"));
    assert_eq!(data_dir(&[("TIDEWATER_DATA_DIR", "t")]), here.join("t"));
}

#[test]
fn relative_path_in_the_file_is_resolved_against_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidewater.toml");
    std::fs::write(&file, "data_dir = 'data'\n[storage]\nmaster_key_file = 'keys/master.key'").unwrap();
    let config = Config::load(Some(&file), [], &Flags::default()).unwrap();
    assert_eq!(config.data_dir, folder.path().join("data"));
    assert_eq!(config.storage.master_key_file, folder.path().join("keys/master.key"));
    let variables = variables(&[("TIDEWATER_DATA_DIR", "data")]);
    let config = Config::load(Some(&file), variables, &Flags::default()).unwrap();
    assert_eq!(config.data_dir, std::env::current_dir().unwrap().join("data"), "a shell's folder");
}

#[test]
fn api_key_without_uri_in_the_environment_is_refused_with_advice() {
    let text = refused(None, &[("TIDEWATER_API_KEY", "flx_secret")]);
    assert!(text.contains("TIDEWATER_API_KEY is set, and nothing reads it") && !text.contains("flx_secret"), "{text}");
}

#[test]
fn unknown_setting_is_refused_with_its_source_and_the_known_settings() {
    let text = refused(Some("lisen = '127.0.0.1:1'"), &[]);
    assert!(text.contains("`lisen` in /") && text.contains("tidewater.toml: is not a setting"), "{text}");
    let settings = "here can be: listen, data_dir, store, log, api, console, connections, cache, auth, storage, drop, metadata, metrics, events, telemetry, audit, backups, delivery, kafka, tls, traces, limits, \
                    access, heavy, planning, maintenance, tiers";
    assert!(text.contains(settings), "{text}");

    let text = refused(Some("[api]\nmax_body = 1"), &[]);
    assert!(text.contains("`api.max_body` in /") && text.contains("max_body_bytes, default_page_size"), "{text}");

    let text = refused(None, &[("TIDEWATER_CACHE__METADATA_MB", "1")]);
    assert!(text.contains("`cache.metadata_mb` in TIDEWATER_CACHE__METADATA_MB: is not a setting"), "{text}");
    assert!(text.contains("here can be: metadata_bytes"), "{text}");

    let text = refused(Some("[tiers.gold]\nrequests = 1"), &[]);
    assert!(text.contains("`tiers.gold.requests` in /") && text.contains("requests_per_day"), "{text}");
}

#[test]
fn invalid_value_is_refused_with_its_source() {
    let text = refused(Some("[auth]\ntoken_lifetime_s = 'long'"), &[]);
    assert!(text.contains("`auth.token_lifetime_s` in /") && text.contains("\"long\""), "{text}");
    let text = refused(None, &[("TIDEWATER_LISTEN", "localhost")]);
    let advice = "`listen` in TIDEWATER_LISTEN: 'localhost' is not a host and a port: write localhost:8181";
    assert!(text.contains(advice), "{text}");
    let text = refused(Some("listen = 8181"), &[]);
    assert!(text.contains("expected a host and a port, such as \"127.0.0.1:8181\""), "{text}");
    let text = refused(None, &[("TIDEWATER_LOG__FORMAT", "xml")]);
    assert!(text.contains("`log.format` in TIDEWATER_LOG__FORMAT: is 'xml', but can be: text, json"), "{text}");
    let text = refused(Some("[api]\nrequest_timeout_s = 0\ndefault_page_size = 0"), &[]);
    assert!(
        text.contains("`api.request_timeout_s` must be") && text.contains("`api.default_page_size` must"),
        "{text}"
    );
    let text = refused(None, &[("TIDEWATER_AUTH__TOKEN_LIFETIME_S", "86401")]);
    assert!(text.contains("`auth.token_lifetime_s` must be at most 86400"), "{text}");
    let text = refused(Some("[connections]\nhead_timeout_s = 0"), &[]);
    assert!(text.contains("`connections.head_timeout_s` must be at least 1"), "{text}");
    let text = refused(Some("[api]\ncors_origins = ['https://a.example/']"), &[]);
    assert!(text.contains("`api.cors_origins` has 'https://a.example/'") && text.contains("write https://a.example"));
    let text = refused(Some("[api]\ncors_origins = 5"), &[]);
    assert!(text.contains("`api.cors_origins` in /") && text.contains("a list of origins"), "{text}");
    for level in ["a=loud", "loud", "verbose", "info,loud", ""] {
        let text = refused(None, &[("TIDEWATER_LOG__LEVEL", level)]);
        assert!(text.contains(&format!("`log.level` is '{level}'")), "{text}");
    }
    for level in ["WARN", "off", "info,tidewater::api=debug", "tidewater=trace"] {
        load(None, &[("TIDEWATER_LOG__LEVEL", level)], &Flags::default()).unwrap();
    }
}

#[test]
fn cors_origins_are_a_list_in_the_file_and_a_text_with_commas_in_the_environment() {
    let file = "[api]\ncors_origins = ['https://a.example', 'http://localhost:5173']";
    let from_file = load(Some(file), &[], &Flags::default()).unwrap();
    let variable = [("TIDEWATER_API__CORS_ORIGINS", "https://a.example, http://localhost:5173")];
    let from_environment = load(None, &variable, &Flags::default()).unwrap();
    assert_eq!(from_file.api.cors_origins, ["https://a.example", "http://localhost:5173"]);
    assert_eq!(from_environment.api.cors_origins, from_file.api.cors_origins);
}

#[test]
fn issuers_are_tables_in_the_file_and_json_in_the_environment() {
    let file = "[[auth.issuers]]\nname = 'sso'\nissuer = 'https://sso.example.com'\norganisation = 'acme'\n\
                audiences = ['tidewater']\nrole = 'reader'\ngroups_claim = 'groups'\n\
                [[auth.issuers.group_mappings]]\ngroup = 'ops'\nrole = 'admin'";
    let from_file = load(Some(file), &[], &Flags::default()).unwrap().auth.issuers;
    let json = serde_json::to_string(&from_file).unwrap();
    let from_environment = load(None, &[("TIDEWATER_AUTH__ISSUERS", &json)], &Flags::default()).unwrap().auth.issuers;
    assert_eq!((from_file.len(), from_file[0].role), (1, Role::Reader));
    assert_eq!(from_file[0].group_mappings[0].role, Some(Role::Admin));
    assert_eq!(from_environment, from_file);
}

#[test]
fn wrong_issuer_is_refused_with_its_name_and_its_source() {
    let issuer = "[[auth.issuers]]\nname = 'sso'\nissuer = 'https://sso.example.com'\norganisation = 'acme'\n";
    let text = refused(Some(issuer), &[]);
    assert!(text.contains("`auth.issuers` 'sso': `audiences` must be a list with at least one text"), "{text}");
    let text = refused(Some(&format!("{issuer}audiences = ['a']\nalgorithms = ['HS256']")), &[]);
    assert!(text.contains("is 'HS256', but can be: RS256, RS384") && text.contains("tidewater.toml"), "{text}");
    let text = refused(Some(&format!("{issuer}audiences = ['a']\njwks-url = 'https://a.example'")), &[]);
    assert!(text.contains("jwks-url") && text.contains("here can be: name, issuer"), "{text}");
    let text = refused(Some(&format!("{issuer}audiences = ['a']\nrole = 'root'")), &[]);
    assert!(text.contains("'root' is not a role: use none, reader, writer or admin"), "{text}");
}

#[test]
fn relative_file_of_an_issuer_is_resolved_against_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidewater.toml");
    std::fs::write(folder.path().join("keys.json"), "{}").unwrap();
    let text = "[[auth.issuers]]\nname = 'sso'\nissuer = 'https://sso.example.com'\norganisation = 'acme'\n\
                audiences = ['a']\njwks_file = 'keys.json'";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), [], &Flags::default()).unwrap();
    assert_eq!(config.auth.issuers[0].jwks_file, Some(folder.path().join("keys.json")));
}

#[test]
fn shared_database_needs_no_data_folder() {
    let url = ("TIDEWATER_STORE__URL", "postgres://tide:hush@db.example.com/tide");
    let config = load(None, &[("HOME", "/home/a"), url], &Flags::default()).unwrap();
    assert_eq!((config.data_folder(), config.master_key_file()), (None, None));
    assert_eq!(config.store.url.postgres().unwrap().expose(), url.1);
    assert!(!format!("{config:?}").contains("hush"), "{config:?}");
    let config = load(None, &[("TIDEWATER_DATA_DIR", "/srv/a"), url], &Flags::default()).unwrap();
    assert_eq!(config.data_folder(), Some("/srv/a".as_ref()));
    let mut flags = Flags::default();
    flags.store.url = Some(Secret::new("postgres://other/d".to_owned()));
    let config = load(None, &[url], &flags).unwrap();
    assert_eq!(config.store.url.to_string(), "postgres://other/d", "the flag has precedence");
    assert!(!format!("{flags:?}").contains("other"));
}

#[test]
fn sqlite_url_names_the_data_folder() {
    let config = load(None, &[("TIDEWATER_STORE__URL", "sqlite:/srv/a")], &Flags::default()).unwrap();
    assert_eq!((config.data_dir.as_path(), config.database()), ("/srv/a".as_ref(), "/srv/a/tidewater.db".into()));
    assert_eq!(config.master_key_file(), Some("/srv/a/master.key".into()));
    let both = [("TIDEWATER_STORE__URL", "sqlite:/srv/a"), ("TIDEWATER_DATA_DIR", "/srv/a")];
    assert_eq!(load(None, &both, &Flags::default()).unwrap().data_dir, config.data_dir);
    let text = refused(None, &[("TIDEWATER_STORE__URL", "sqlite:/srv/a"), ("TIDEWATER_DATA_DIR", "/srv/b")]);
    assert!(text.contains("`store.url` is the database in /srv/a, but `data_dir` is /srv/b"), "{text}");
    let text = refused(None, &[("TIDEWATER_STORE__URL", "mysql://a:hush@h/d")]);
    assert!(text.contains("`store.url` in TIDEWATER_STORE__URL: is not the URL of a database"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn missing_or_malformed_file_is_refused() {
    let absent = Config::load(Some("/absent/t.toml".as_ref()), [], &Flags::default()).unwrap_err().to_string();
    assert!(absent.contains("/absent/t.toml cannot be read"), "{absent}");
    let text = refused(Some("listen = "), &[]);
    assert!(text.contains("line 1") && text.contains("tidewater.toml"), "{text}");
}

#[test]
fn configured_tier_replaces_its_default_and_keeps_the_others() {
    let config = load(Some("[tiers.premium]\nmax_tables = 7\n[tiers.gold]"), &[], &Flags::default()).unwrap();
    assert_eq!(config.tiers["premium"], Tier { max_tables: Some(7), ..Tier::default() });
    assert_eq!(config.tiers["gold"], Tier::default());
    assert_eq!(config.tiers["professional"], default_tiers()["professional"]);
    let config = load(None, &[("TIDEWATER_TIERS__PREMIUM__REQUESTS_PER_DAY", "9")], &Flags::default()).unwrap();
    assert_eq!(config.tiers["premium"].requests_per_day, Some(9));
    let variables = [
        ("TIDEWATER_TIERS__PREMIUM__REQUESTS_PER_SECOND", "5"),
        ("TIDEWATER_TIERS__PREMIUM__BURST", "50"),
        ("TIDEWATER_TIERS__PREMIUM__REQUESTS_PER_SECOND_PER_KEY", "2"),
    ];
    let premium = load(None, &variables, &Flags::default()).unwrap().tiers.remove("premium").unwrap();
    assert_eq!((premium.requests_per_second, premium.burst), (Some(5), Some(50)));
    assert_eq!((premium.requests_per_second_per_key, premium.burst_per_key), (Some(2), None));
    let text = refused(Some("[tiers.gold]\nburst = 5\n[tiers.free]\nrequests_per_second = 0"), &[]);
    assert!(text.contains("`tiers.gold`: `burst` needs `requests_per_second`"), "{text}");
    assert!(text.contains("`tiers.free`: `requests_per_second` must be 1 to 250000"), "{text}");
}

#[test]
fn trusted_proxies_are_addresses_and_networks_in_a_list_or_a_variable() {
    let file = "[connections]\ntrusted_proxies = ['127.0.0.1', '10.0.0.0/8']\nforwarded_header = 'forwarded'";
    let connections = load(Some(file), &[], &Flags::default()).unwrap().connections;
    let has = |address: &str| connections.trusted_proxies.contains(address.parse().unwrap());
    assert!(has("127.0.0.1") && has("10.9.9.9") && !has("127.0.0.2") && !has("::1"));
    assert_eq!(connections.forwarded_header, ForwardedHeader::Forwarded);
    let variables = [("TIDEWATER_CONNECTIONS__TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")];
    let from_variable = load(None, &variables, &Flags::default()).unwrap().connections;
    assert_eq!(from_variable.trusted_proxies, connections.trusted_proxies);
    let text = refused(Some("[connections]\ntrusted_proxies = ['10.1.2.3/8']"), &[]);
    assert!(text.contains("`connections.trusted_proxies") && text.contains("write 10.0.0.0/8"), "{text}");
    let text = refused(Some("[connections]\nforwarded_header = 'via'"), &[]);
    assert!(text.contains("is 'via', but can be: x-forwarded-for, forwarded"), "{text}");
}

#[test]
fn kubernetes_variables_of_a_service_named_tidewater_are_ignored() {
    let environment = [
        ("TIDEWATER_SERVICE_HOST", "10.0.0.1"),
        ("TIDEWATER_SERVICE_PORT_HTTP", "80"),
        ("TIDEWATER_PORT", "tcp://10.0.0.1:80"),
        ("TIDEWATER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("TIDEWATER_CONFIG", "/etc/t.toml"),
    ];
    assert!(load(None, &environment, &Flags::default()).is_ok());
    assert!(load(None, &[("TIDEWATER_PORTS", "1")], &Flags::default()).is_err());
}

#[test]
fn impossible_backups_are_refused_with_advice() {
    let text =
        refused(Some("[backups]\nto = '/backup'\n[store]\nurl = 'postgres://tide:hush@db.example.com/tide'"), &[]);
    assert!(
        text.contains("`backups.to`") && text.contains("docs/production-postgresql.md") && !text.contains("hush"),
        "{text}"
    );
    let text = refused(Some("data_dir = '/srv/tide'\n[backups]\nto = '/srv/tide/backups'"), &[]);
    assert!(text.contains("`backups.to` is in the data folder /srv/tide"), "{text}");
    let text = refused(None, &[("TIDEWATER_BACKUPS__TO", "backup")]);
    assert!(text.contains("must be an absolute path or a bucket's URL"), "{text}");
    let text = refused(None, &[("TIDEWATER_BACKUPS__TO", "s3://backups/tide")]);
    assert!(text.contains("`backups.storage_file`"), "{text}");
    let text = refused(Some("[backups]\nto = '/backup'\ninterval_s = 1\noffset_s = 1\nkeep = 0"), &[]);
    for fault in ["`backups.interval_s` must be at least", "`backups.offset_s` must be less", "`backups.keep` must be"]
    {
        assert!(text.contains(fault), "{fault}: {text}");
    }
    let off = load(Some("[backups]\nkeep = 0"), &[], &Flags::default()).unwrap();
    assert!(!off.backups.is_on());
}
