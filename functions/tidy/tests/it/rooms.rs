//! The rooms of pipeline: each knows only those that `lib.rs` declares above it, and no modules go round in a circle.

use crate::modules::{Modules, Name, file_of};
use crate::tree;

/// From the lowest to the highest.
const ROOMS: [&str; 15] = [
    "failpoint",
    "error",
    "metrics",
    "retry",
    "aws",
    "secret",
    "contract",
    "spill",
    "config", // the foundation
    "source",
    "store",
    "database",
    "report",
    "run",
    "operate",
];

#[test]
fn every_room_of_pipeline_knows_only_those_below_it() {
    let modules = pipeline();
    assert_eq!(
        modules.rooms, ROOMS,
        "lib.rs declares the rooms from the lowest to the highest, and no other module"
    );
    assert_eq!(upwards(&modules), Vec::<String>::new());
    assert!(modules.arrows().len() > 50, "hardly any arrows: the check looks at nothing");
}

#[test]
fn no_modules_of_pipeline_go_round_in_a_circle() {
    assert_eq!(circle(&pipeline()), None);
}

#[test]
fn an_arrow_to_a_higher_room_is_named() {
    let found = |stage: &'static str| upwards(&made_up(stage, ""));
    assert_eq!(found("use crate::run::budget;"), ["store/stage.rs uses run::budget: store is below run"]);
    assert_eq!(
        found("fn f() { crate::run::budget::of(1) }"),
        ["store/stage.rs uses run::budget: store is below run"]
    );
    assert_eq!(found("fn f() { info!(n = crate::run::budget::of(1)) }").len(), 1);
    assert_eq!(found("use crate::run::Budget;").len(), 1, "a re-export is followed");
    assert_eq!(found("#[cfg(test)] mod tests { use crate::run::budget; }"), Vec::<String>::new());
    assert_eq!(found("use super::object; use std::run::budget;"), Vec::<String>::new());
}

#[test]
fn a_circle_is_named() {
    let found = |stage, object| circle(&made_up(stage, object));
    let expected = Some("store/object.rs → store/stage.rs → store/object.rs".to_owned());
    assert_eq!(found("use super::object;", "use crate::store::stage;"), expected);
    assert_eq!(found("use super::Object;", "use super::stage;"), expected, "a re-export is followed");
    assert_eq!(
        found("use super::object;", "use super::Own;"),
        None,
        "a module and its parent are one matter"
    );
}

fn pipeline() -> Modules {
    Modules::read(&|path| tree::read(&format!("functions/pipeline/src/{path}")))
}

/// A small library, with this in `store/stage.rs` and in `store/object.rs`.
fn made_up(stage: &'static str, object: &'static str) -> Modules {
    Modules::read(&|path| {
        let text = match path {
            "lib.rs" => "mod store; mod run;",
            "store.rs" => "mod stage; mod object; pub use object::Object; pub struct Own;",
            "store/stage.rs" => stage,
            "store/object.rs" => object,
            "run.rs" => "mod budget; pub use budget::Budget;",
            "run/budget.rs" => "",
            _ => return None,
        };
        Some(text.to_owned())
    })
}

/// Every arrow to a higher room, as a sentence.
fn upwards(modules: &Modules) -> Vec<String> {
    let place = |module: &Name| modules.rooms.iter().position(|room| room == &module[0]);
    let wrong = modules.arrows().into_iter().filter(|(from, to)| !to.is_empty() && place(from) < place(to));
    wrong
        .map(|(from, to)| {
            format!("{} uses {}: {} is below {}", file_of(&from), to.join("::"), from[0], to[0])
        })
        .collect()
}

/// A circle as `a.rs → b.rs → a.rs`.
fn circle(modules: &Modules) -> Option<String> {
    let mut way = modules.circle()?;
    way.push(way[0].clone());
    Some(way.iter().map(|module| file_of(module)).collect::<Vec<_>>().join(" → "))
}
