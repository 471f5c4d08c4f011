//! The variables of the configuration, compared with the places that set or describe them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use pipeline::Config;

use crate::{Names, names, none, tree};

#[test]
fn env_example_has_every_variable_with_its_default() {
    let example: BTreeMap<String, String> = tree::text(".env.example")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line:?} is not NAME=value")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let of_libpq = |name: &&String| name.starts_with("PG");
    let wanted: Names = read_by_config().iter().filter(|name| !of_libpq(name)).cloned().collect();
    assert_eq!(names(example.keys().cloned()), wanted);
    let with_example =
        Config::from_lookup(|name| example.get(name).cloned()).expect(".env.example is a configuration");
    let default = Config::from_lookup(|_| None).expect("nothing set is a configuration");
    assert_eq!(format!("{with_example:#?}"), format!("{default:#?}"), ".env.example has the defaults");
}

#[test]
fn readme_describes_every_variable_with_its_default() {
    let readme = tree::text("README.md");
    let (_, section) =
        readme.split_once("\n## Configuration\n").expect("README.md has the section Configuration");
    let section = section.split("\n## ").next().unwrap_or_default();
    let quoted = names(section.split('`').skip(1).step_by(2));
    let outside = |name: &&String| name.starts_with("PG") || name.starts_with("AWS_");
    let wanted: Names = read_by_config().iter().filter(|name| !outside(name)).cloned().collect();
    none("README.md describes every variable", wanted.difference(&quoted));

    let mut defaults = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let variables: Vec<&str> = cells[1].split(", ").map(|name| name.trim_matches('`')).collect();
        none(
            "README.md describes only variables that are read",
            variables.iter().filter(|v| !wanted.contains(**v)),
        );
        defaults.insert(variables[0], cells[2].trim_matches('`').to_owned());
    }
    // The configuration leaves this one open; the first migrate applies the default.
    assert_eq!(defaults.remove("PARTITION_LEDGERS").as_deref(), Some("100000"));
    let with_defaults =
        Config::from_lookup(|name| defaults.get(name).cloned()).expect("the defaults are a configuration");
    let default = Config::from_lookup(|_| None).expect("nothing set is a configuration");
    assert_eq!(format!("{with_defaults:#?}"), format!("{default:#?}"), "README.md has the defaults");
}

/// Fails if a place sets a variable that the configuration does not read.
#[track_caller]
pub(crate) fn all_are_read(place: &str, set: &Names) {
    assert!(!set.is_empty(), "{place} sets no variable");
    none(&format!("the configuration reads every variable of {place}"), set.difference(&read_by_config()));
}

/// Every variable that the configuration reads in some environment.
fn read_by_config() -> Names {
    let asked = RefCell::new(Names::new());
    // Some variables are read only if others are set.
    for set in [&[][..], &["DB_HOST"], &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]] {
        let lookup = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            set.contains(&name).then(|| "value".to_owned())
        };
        Config::from_lookup(lookup).expect("a configuration");
    }
    asked.into_inner()
}
