//! The state machine of `infra/template.yaml`.

use serde_json::Value;

use crate::{Names, names, none, tree};

#[test]
fn the_state_machine_leads_to_every_state_and_nowhere_else() {
    let template = tree::yaml("infra/template.yaml");
    let found = machines(&template["Resources"]["Backfill"]["Properties"]["Definition"]);
    assert!(found.len() > 1, "the map has a machine inside");
    for machine in found {
        let states = machine["States"].as_object().unwrap();
        let there = names(states.keys().cloned());
        let mut reached: Names = states.values().flat_map(next).collect();
        reached.insert(machine["StartAt"].as_str().unwrap().to_owned());
        none("every transition leads to a state", reached.difference(&there));
        none("something leads to every state", there.difference(&reached));
    }
}

/// A state machine and those inside its maps.
fn machines(definition: &Value) -> Vec<&Value> {
    let inner =
        definition["States"].as_object().unwrap().values().filter_map(|state| state.get("ItemProcessor"));
    std::iter::once(definition).chain(inner.flat_map(machines)).collect()
}

/// The possible next states.
fn next(state: &Value) -> Vec<String> {
    let rules = ["Choices", "Catch"].into_iter().filter_map(|kind| state[kind].as_array()).flatten();
    let targets = [&state["Next"], &state["Default"]].into_iter().chain(rules.map(|rule| &rule["Next"]));
    targets.filter_map(|target| target.as_str().map(str::to_owned)).collect()
}
