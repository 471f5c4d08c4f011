//! Checks of the repository that no tool makes. They compare files with values of the crates, never with source text; only
//! the checks of modules and source files read the source.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod tree;
mod modules;
mod alerts;
mod archive;
mod backfill;
mod compose;
mod kubernetes;
mod metrics;
mod rooms;
mod sources;
mod template;
mod variables;

use std::collections::BTreeSet;

/// A set of owned strings.
type Names = BTreeSet<String>;

/// The items as a set.
fn names<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Names {
    items.into_iter().map(Into::into).collect()
}

/// Fails if there are offenders, and names them.
#[track_caller]
fn none<T: std::fmt::Debug>(sentence: &str, offenders: impl IntoIterator<Item = T>) {
    let offenders: Vec<T> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{sentence}, but for {offenders:?}");
}
