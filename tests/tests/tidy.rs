//! The house rules that a machine can check: who may depend on whom, how long a file and a function
//! may be, and that every link in a document leads somewhere.

#![expect(clippy::unwrap_used, reason = "a check that cannot read the project fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below the root with this ending, without what is built or installed.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let skipped =
                ["target", "node_modules", "dist"].contains(&name.as_str()) || name.starts_with('.');
            if path.is_dir() && !skipped {
                open.push(path);
            } else if name.ends_with(ending) && path.is_file() {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} files: is the walk broken?");
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The rows of the table "Who may depend on whom" in ARCHITECTURE.md: member -> dependencies.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let member = cells.get(1)?.strip_prefix('`')?.strip_suffix("/`")?;
            let dependencies = cells.get(3)?.split(',').map(|name| name.trim().to_owned());
            Some((member.to_owned(), dependencies.filter(|name| name != "–").collect()))
        })
        .collect()
}

fn manifest(member: &str) -> toml::Table {
    fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap().parse().unwrap()
}

#[test]
fn crates_depend_only_downwards_as_the_architecture_says() {
    let allowed = allowed();
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members: BTreeSet<String> = workspace["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        members,
        allowed.keys().cloned().collect(),
        "the table in ARCHITECTURE.md names other members"
    );
    for member in &members {
        let manifest = manifest(member);
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else {
            continue;
        };
        let ours = dependencies.keys().filter(|name| members.contains(*name)).cloned();
        let wrong: Vec<String> = ours.filter(|name| !allowed[member].contains(name)).collect();
        assert!(wrong.is_empty(), "{member} depends on {wrong:?}, which ARCHITECTURE.md does not allow");
    }
}

#[test]
fn every_crate_keeps_the_workspace_lints() {
    for member in allowed().keys() {
        let inherits = manifest(member)["lints"]["workspace"].as_bool();
        assert_eq!(inherits, Some(true), "{member}/Cargo.toml does not inherit the workspace lints");
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<String> = [".rs", ".ts", ".svelte", ".py"]
        .into_iter()
        .flat_map(files)
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            (lines > FILE_LINES).then(|| format!("{} has {lines} lines", shown(&path)))
        })
        .collect();
    assert!(long.is_empty(), "over {FILE_LINES} lines:\n{}", long.join("\n"));
}

struct LongFunctions {
    file: String,
    found: Vec<String>,
}

impl LongFunctions {
    fn measure(&mut self, name: &syn::Ident, body: &syn::Block) {
        let braces = body.brace_token.span;
        let first = braces.open().start().line;
        let lines = braces.close().end().line - first + 1;
        if lines > FUNCTION_LINES + 1 {
            self.found.push(format!("{}:{} {name} has {lines} lines", self.file, first));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig.ident, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn every_function_fits_a_screen() {
    let mut found = Vec::new();
    for path in files(".rs") {
        let code = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut visitor = LongFunctions { file: shown(&path), found: Vec::new() };
        visitor.visit_file(&code);
        found.append(&mut visitor.found);
    }
    assert!(found.is_empty(), "over {FUNCTION_LINES} lines:\n{}", found.join("\n"));
}

#[test]
fn no_room_is_called_utils() {
    let drawers = ["utils", "util", "helpers", "misc", "common"];
    let found: Vec<String> = files(".rs")
        .iter()
        .filter(|path| {
            path.components().any(|part| {
                let name = part.as_os_str().to_string_lossy();
                drawers.contains(&name.trim_end_matches(".rs"))
            })
        })
        .map(|path| shown(path))
        .collect();
    assert!(found.is_empty(), "a module named after nothing: {found:?}");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for path in files(".md") {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let outside = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !outside && !path.parent().unwrap().join(file).exists() {
                broken.push(format!("{} -> {target}", shown(&path)));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn files_that_documents_name_exist() {
    let mut missing = Vec::new();
    for path in ["README.md", "ARCHITECTURE.md"].map(|name| root().join(name)) {
        let text = fs::read_to_string(&path).unwrap();
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = name.contains('/')
                && name.rsplit('.').next().is_some_and(|end| ["rs", "md", "py", "toml"].contains(&end));
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path && plain && !name.starts_with('/') && !root().join(name).exists() {
                missing.push(format!("{} names {name}", shown(&path)));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
