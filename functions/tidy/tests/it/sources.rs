//! Every source file and every member of the workspace.

use crate::{none, tree};

#[test]
fn every_source_file_begins_by_saying_what_it_is_for() {
    let without = rust_files().filter(|(path, text)| path.contains("/src/") && !text.starts_with("//!"));
    none("every source file begins with //!", without.map(|(path, _)| path));
}

#[test]
fn no_source_file_has_more_than_500_lines() {
    let long =
        rust_files().map(|(path, text)| (path, text.lines().count())).filter(|(_, lines)| *lines > 500);
    none("no source file has more than 500 lines", long);
}

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    let members: Vec<String> =
        ["functions", "localstack"].iter().flat_map(|folder| tree::files(folder, "/Cargo.toml")).collect();
    assert!(members.len() > 5, "hardly any members: the check looks at nothing");
    none(
        "every member has [lints] workspace = true",
        members.iter().filter(|path| !tree::text(path).contains("\n[lints]\nworkspace = true\n")),
    );
}

/// Path and text.
fn rust_files() -> impl Iterator<Item = (String, String)> {
    let paths: Vec<String> =
        ["functions", "localstack"].iter().flat_map(|folder| tree::files(folder, ".rs")).collect();
    assert!(paths.len() > 100, "hardly any files: the check looks at nothing");
    paths.into_iter().map(|path| (path.clone(), tree::text(&path)))
}
