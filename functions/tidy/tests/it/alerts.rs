//! `infra/prometheus/alerts.yml`, compared with the runbook.

use crate::{names, none, tree};

#[test]
fn every_alert_points_to_a_place_of_the_runbook_that_speaks_of_it() {
    let guide = tree::text("docs/operations.md");
    let anchors = names(guide.lines().filter(|line| line.starts_with('#')).map(anchor));
    let rules = tree::yaml("infra/prometheus/alerts.yml");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    assert!(!rules.is_empty(), "there are no alerts");
    for rule in rules {
        let (name, annotations) = (rule["alert"].as_str().expect("a name"), &rule["annotations"]);
        for key in ["summary", "description"] {
            assert!(annotations[key].is_string(), "{name} has no {key}");
        }
        let runbook = annotations["runbook"].as_str().unwrap_or_else(|| panic!("{name} has no runbook"));
        let (file, place) = runbook.split_once('#').unwrap_or_else(|| panic!("{runbook} names no place"));
        assert_eq!(file, "docs/operations.md", "the runbook of {name}");
        assert!(anchors.contains(place), "{file} has no place {place}, for {name}: it has {anchors:?}");
        assert!(guide.contains(&format!("`{name}`")), "{file} does not speak of {name}");
    }
    let alerts = names(rules.iter().filter_map(|rule| rule["alert"].as_str()));
    let quoted = names(guide.split('`').filter(|word| word.starts_with("ContractDataLoader")));
    none("docs/operations.md speaks only of alerts that there are", quoted.difference(&alerts));
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}
