use super::*;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn help_shows_the_default_data_folder() {
    let help = Cli::command().render_long_help().to_string();
    let here = data_dir_unless_set(environment());
    assert!(help.contains(&format!("[default: {}]", here.display())), "{help}");
}

#[test]
fn every_command_and_argument_has_help() {
    fn check(command: &clap::Command) {
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
            let undocumented = sub.get_arguments().find(|argument| argument.get_help().is_none());
            assert!(undocumented.is_none(), "{}: {undocumented:?} has no help", sub.get_name());
            check(sub);
        }
    }
    check(&Cli::command());
}

/// Returns every command without subcommands, with its full name.
fn leaves() -> Vec<(String, clap::Command)> {
    fn collect(command: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
        if command.get_subcommands().next().is_none() {
            found.push((words.to_owned(), command.clone()));
        }
        for sub in command.get_subcommands() {
            collect(sub, &format!("{words} {}", sub.get_name()), found);
        }
    }
    let mut found = Vec::new();
    collect(&Cli::command(), "tidewater", &mut found);
    found
}

fn has(command: &clap::Command, option: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some(option))
}

#[test]
fn every_command_takes_json_except_completions_and_man() {
    let without: Vec<_> =
        leaves().into_iter().filter(|(_, command)| !has(command, "json")).map(|(words, _)| words).collect();
    assert_eq!(without, ["tidewater completions", "tidewater man"]);
}

#[test]
fn every_command_that_creates_takes_if_not_exists() {
    let mut creating: Vec<_> = leaves().into_iter().filter(|(words, _)| words.ends_with(" create")).collect();
    assert!(creating.iter().all(|(_, command)| has(command, "if-not-exists")));
    creating.sort_by(|(one, _), (other, _)| one.cmp(other));
    let nouns: Vec<_> = creating.iter().filter_map(|(words, _)| words.split(' ').nth(1)).collect();
    assert_eq!(nouns, ["key", "operator", "org", "role", "subscription", "warehouse"]);
}

#[test]
fn every_noun_can_be_listed_and_shown() {
    // A grant has no name, access is only explained, and all labels of an object are shown together.
    let has_names = |noun: &&clap::Command| !["grant", "access", "label"].contains(&noun.get_name());
    let command = Cli::command();
    for noun in command.get_subcommands().filter(|command| command.has_subcommands()).filter(has_names) {
        for verb in ["list", "show"] {
            assert!(noun.find_subcommand(verb).is_some(), "{} {verb}", noun.get_name());
        }
    }
}

#[test]
fn every_subcommand_is_a_known_verb() {
    const VERBS: [&str; 40] = [
        "add",
        "assign",
        "check",
        "create",
        "dead-letters",
        "delete",
        "disable",
        "discard",
        "distrust",
        "dropped",
        "enable",
        "explain",
        "find",
        "health",
        "list",
        "metrics",
        "policy",
        "preview",
        "rename",
        "replay",
        "reseal",
        "restore",
        "resume",
        "revoke",
        "rotate",
        "set",
        "run",
        "set-default",
        "set-options",
        "set-policy",
        "set-storage",
        "set-tier",
        "show",
        "suspend",
        "test",
        "trust",
        "trusted",
        "update",
        "usage",
        "version",
    ];
    for (words, _) in leaves() {
        let words: Vec<&str> = words.split(' ').collect();
        assert!(words.len() == 2 || VERBS.contains(&words[2]), "{words:?}");
    }
}

#[test]
fn completions_and_man_pages_contain_every_command() {
    let mut text = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "tidewater", &mut text);
    let text = String::from_utf8(text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let arguments = Cli::try_parse_from(["tidewater", "man", folder.path().to_str().unwrap()]).unwrap();
    let Command::Man(arguments) = arguments.command else { panic!("it is another command") };
    shell::man(Cli::command(), &arguments).unwrap();
    for (words, _) in leaves() {
        assert!(words.split(' ').all(|word| text.contains(word)), "{words}");
        let page = std::fs::read_to_string(folder.path().join(format!("{}.1", words.replace(' ', "-")))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{words}");
    }
}

#[test]
fn default_folder_without_catalog_is_refused_when_a_service_exists() {
    let folder = tempfile::tempdir().unwrap();
    let [database, config, data] = ["tidewater.db", "tidewater.toml", "data"].map(|name| folder.path().join(name));
    let check = || check_no_other_catalog(folder.path(), &database, &[&folder.path().join("none"), &config], &data);
    check().unwrap();
    std::fs::create_dir(&data).unwrap();
    check_no_other_catalog(&data, &data.join("tidewater.db"), &[], &data).unwrap();
    let refused = check().unwrap_err().to_string();
    assert!(refused.contains(&format!("--data-dir {}", data.display())), "{refused}");
    std::fs::write(&config, "").unwrap();
    let refused = check().unwrap_err().to_string();
    assert!(refused.contains(&format!("--config {}", config.display())), "{refused}");
    std::fs::write(&database, "").unwrap();
    check().unwrap();
}

#[test]
fn local_command_with_an_address_is_refused() {
    for command in [&["serve"][..], &["quickstart"], &["restore", "a.db"]] {
        let words = ["tidewater", "--uri", "https://tide.example.com"].into_iter().chain(command.iter().copied());
        let refused = Cli::try_parse_from(words).unwrap().settings.check_is_local(command[0]).unwrap_err();
        assert!(refused.to_string().contains("leave --uri out"), "{refused}");
        let local = Cli::try_parse_from(["tidewater"].iter().chain(command)).unwrap();
        local.settings.check_is_local(command[0]).unwrap();
    }
}

#[test]
fn named_database_has_precedence_over_an_address_from_the_environment_only() {
    let parse = |words: &[&str]| Cli::try_parse_from([&["tidewater", "status"], words].concat()).unwrap().settings;
    let url = "postgres://tide:hush@db.example.com/tide";
    let both = parse(&["--store", url, "--uri", "https://tide.example.com"]).is_remote();
    assert_eq!(both.unwrap_err().to_string(), "--uri and --store name two catalogs: give one of them");
    let settings = parse(&["--store", url]);
    assert!(settings.is_named() && !settings.is_remote().unwrap());
    assert!(!format!("{settings:?}").contains("hush"), "{settings:?}");
}

#[test]
fn examples_in_the_help_parse() {
    for line in EXAMPLES.lines().filter(|line| line.starts_with("  tidewater ")) {
        let words = line.split("    ").next().unwrap_or(line).split_whitespace();
        assert!(Cli::try_parse_from(words).is_ok(), "{line}");
    }
}
