//! Checks that no two files of the program depend on each other, so that each can be read after the files that it uses.

use std::collections::{BTreeMap, BTreeSet};

use crate::project::{ProjectFile, files};

/// The path of a module or item, segment by segment.
type Segments = Vec<String>;

/// A file of the program.
struct SourceFile {
    path: String,
    /// The text without tests and comments.
    code: String,
    /// Its imports, and whether each is a `pub use`.
    imports: Vec<(Segments, bool)>,
}

/// The modules of the program, each with its file.
struct Modules {
    files: BTreeMap<Segments, SourceFile>,
}

impl SourceFile {
    fn new(file: &ProjectFile) -> Self {
        let code = file.code().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        Self { path: file.path.clone(), imports: imports(&code), code }
    }
}

/// Returns the path of a file's module.
fn module_of(path: &str) -> Segments {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.trim_end_matches("/mod");
    match path {
        "lib" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

impl Modules {
    fn read() -> Self {
        let sources = files(&[".rs"]).into_iter().filter(|file| file.path.starts_with("src/") && !file.is_test());
        Self { files: sources.map(|file| (module_of(&file.path), SourceFile::new(&file))).collect() }
    }

    /// Returns the files that a file depends on. A `pub use` of a child module is a facade, not a dependency, unless the
    /// module itself uses the name.
    fn used_by(&self, module: &Segments) -> BTreeSet<&str> {
        let mut used = BTreeSet::new();
        for (path, is_public) in &self.files[module].imports {
            let absolute = self.absolute(module, path);
            let is_facade = *is_public && absolute.len() > module.len() && absolute.starts_with(module);
            let uses_name = || absolute.last().is_some_and(|name| mentions(&self.files[module].code, name));
            if is_facade && !uses_name() {
                continue;
            }
            if let Some(target) = self.defining(&absolute, 0) {
                used.insert(self.files[&target].path.as_str());
            }
        }
        used.remove(self.files[module].path.as_str());
        used
    }

    /// Returns a path relative to the root of the program.
    fn absolute(&self, module: &Segments, path: &[String]) -> Segments {
        let mut base = module.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate" | "tidewater") => {
                base.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => {}
        }
        base.extend(rest.iter().cloned());
        base
    }

    /// Returns the module whose file defines the item of a path, or `None` for an item of another crate.
    fn defining(&self, path: &[String], depth: usize) -> Option<Segments> {
        let known = (0..=path.len()).rev().find(|length| self.files.contains_key(&path[..*length]))?;
        let module = path[..known].to_vec();
        let Some(item) = path.get(known).filter(|item| *item != "*" && depth < 8) else { return Some(module) };
        for (exported, _) in self.files[&module].imports.iter().filter(|(_, is_public)| *is_public) {
            let target = self.absolute(&module, exported);
            match exported.last().map(String::as_str) {
                Some(name) if name == item => return self.defining(&target, depth + 1),
                Some("*") => {
                    let from = &target[..target.len() - 1];
                    if self.files.get(from).is_some_and(|file| defines(&file.code, item)) {
                        return Some(from.to_vec());
                    }
                }
                _ => {}
            }
        }
        // A name that this module neither has nor re-exports belongs to another crate.
        let is_own = known > 0 || defines(&self.files[&module].code, item);
        is_own.then_some(module)
    }
}

/// Returns whether a text defines an item of this name that other modules can see.
fn defines(text: &str, name: &str) -> bool {
    ["struct", "enum", "trait", "type", "fn", "const", "static", "mod"].iter().any(|kind| {
        text.match_indices(&format!("{kind} {name}")).any(|(at, found)| {
            let next = text[at + found.len()..].chars().next();
            !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
        })
    })
}

/// Returns whether a text mentions a name outside its `use` and `mod` declarations and its strings.
fn mentions(text: &str, name: &str) -> bool {
    let mut is_declaration = false;
    text.lines().any(|line| {
        let item = line.strip_prefix("pub").map_or(line, |rest| rest.split_once(' ').map_or(rest, |(_, item)| item));
        is_declaration |= item.starts_with("use ") || item.starts_with("mod ");
        let was_declaration = is_declaration;
        is_declaration &= !line.ends_with(';');
        !was_declaration && words(line).any(|word| word == name)
    })
}

/// Splits a line of code into its words, without those in strings.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').step_by(2).flat_map(|code| code.split(|c: char| !(c.is_alphanumeric() || c == '_')))
}

/// Returns the paths of all `use` declarations outside functions, with expanded groups, and whether they are `pub`.
fn imports(text: &str) -> Vec<(Segments, bool)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let (line, declaration) = (rest[..at].rsplit('\n').next().unwrap_or_default(), &rest[at + 4..]);
        let end = declaration.find(';').unwrap_or(declaration.len());
        if line.is_empty() || (line.starts_with("pub") && line.ends_with(' ')) {
            let mut paths = Vec::new();
            spell_out(&declaration[..end], &[], &mut paths);
            found.extend(paths.into_iter().map(|path| (path, line.starts_with("pub"))));
        }
        rest = &declaration[end..];
    }
    found
}

/// Expands a tree of paths: `a::{b, c::d as e}` gives `a::b` and `a::c::d`.
fn spell_out(tree: &str, before: &[String], found: &mut Vec<Segments>) {
    let tree = tree.trim();
    let (head, group) = tree.split_once('{').map_or((tree, None), |(head, group)| (head, Some(group)));
    let name = |segment: &str| segment.split(" as ").next().unwrap_or_default().trim().to_owned();
    let mut path = before.to_vec();
    // In a group, `self` stands for the module before it.
    let is_segment = |segment: &String| !segment.is_empty() && (before.is_empty() || segment != "self");
    path.extend(head.split("::").map(name).filter(is_segment));
    let Some(group) = group else {
        found.push(path);
        return;
    };
    let group = &group[..group.rfind('}').unwrap_or(group.len())];
    let (mut depth, mut begin) = (0usize, 0);
    for (at, character) in group.char_indices().chain([(group.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                if !group[begin..at].trim().is_empty() {
                    spell_out(&group[begin..at], &path, found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

/// Returns all files that can be reached from a file.
fn reached<'a>(from: &'a str, edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = edges.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(edges.get(file).into_iter().flatten());
        }
    }
    reached
}

#[test]
fn files_have_no_circular_dependencies() {
    let modules = Modules::read();
    let edges: BTreeMap<&str, BTreeSet<&str>> =
        modules.files.iter().map(|(module, file)| (file.path.as_str(), modules.used_by(module))).collect();
    let all: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reached(file, &edges))).collect();
    let in_circle = |file: &&str| all[file].contains(*file);
    let groups: BTreeSet<Vec<&str>> = edges
        .keys()
        .copied()
        .filter(in_circle)
        .map(|file| all[file].iter().copied().filter(|other| all[other].contains(file)).collect())
        .collect();
    assert!(groups.is_empty(), "these files depend on each other: {groups:#?}");
    assert!(edges["src/store/sqlite/tables.rs"].contains("src/store/sqlite/convert.rs"), "imports were not found");
}

#[test]
fn name_of_a_facade_is_a_dependency_where_the_facade_uses_it() {
    let text = "pub(super) use reader::{\n    Reader,\n    Writer,\n};\n\npub struct Shelf {\n    reader: Reader,\n}\n// \"x\"\nconst A: &str = \"Writer\";\n";
    assert!(mentions(text, "Reader"));
    assert!(!mentions(text, "Writer"));
}

#[test]
fn groups_of_imports_are_expanded() {
    let text = "use super::{a, b::{self, C as D}};\npub(crate) use self::e::*;\n    use inner::F;\n";
    let found: Vec<String> =
        imports(text).into_iter().map(|(path, is_public)| format!("{}:{is_public}", path.join("::"))).collect();
    assert_eq!(found, ["super::a:false", "super::b:false", "super::b::C:false", "self::e::*:true"]);
}
