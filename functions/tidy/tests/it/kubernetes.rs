//! The manifests of `infra/kubernetes`.

use serde_json::Value;

use crate::variables::all_are_read;
use crate::{Names, names, none, tree};

const FOLDER: &str = "infra/kubernetes";

/// The memory limit of the loader.
pub(crate) const MEMORY_MIB: u64 = 512;

#[test]
fn the_pods_get_only_variables_that_are_read() {
    let settings = tree::text(&format!("{FOLDER}/base/settings.env"));
    let settings = settings
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim_start_matches("# "));
    all_are_read("settings.env", &names(settings));
    let secrets = tree::documents(&format!("{FOLDER}/secret.example.yaml"));
    let keys = secrets.iter().flat_map(|secret| secret["stringData"].as_object().unwrap().keys().cloned());
    all_are_read("secret.example.yaml", &keys.collect());
    let containers = containers();
    let set = containers.iter().flat_map(|container| container["env"].as_array().into_iter().flatten());
    all_are_read("the manifests", &names(set.map(|variable| variable["name"].as_str().unwrap())));
}

#[test]
fn only_migrate_and_maintain_have_the_password_of_the_owner() {
    for container in containers() {
        let command = container["args"][0].as_str().expect("a command");
        let owns = matches!(command, "migrate" | "maintain");
        let references = container["env"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|v| &v["valueFrom"]["secretKeyRef"]["name"]);
        let secrets: Names = references.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        assert_eq!(
            secrets,
            names([if owns { "contract-data-owner" } else { "contract-data-loader" }]),
            "secrets of {command}"
        );
    }
}

#[test]
fn the_limit_of_memory_is_the_same_wherever_it_stands() {
    let limits = containers().into_iter().map(|container| container["resources"]["limits"]["memory"].clone());
    none("every container has the limit", limits.filter(|limit| *limit != format!("{MEMORY_MIB}Mi")));
    let alerts = tree::text("infra/prometheus/alerts.yml");
    assert!(
        alerts.contains(&format!("> 0.85 * {MEMORY_MIB} * 1024 * 1024\n")),
        "the alert knows another limit"
    );
    let line = MEMORY_MIB as f64 * 1024.0 * 1024.0 * 0.85;
    let panels = tree::json("infra/grafana/dashboards/contract-data-loader.json");
    let steps = panels["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|p| p["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array());
    assert!(steps.flatten().any(|step| step["value"].as_f64() == Some(line)), "no panel has the line {line}");
}

/// The containers of all pod templates.
fn containers() -> Vec<Value> {
    let documents = tree::files(FOLDER, ".yaml").into_iter().flat_map(|path| tree::documents(&path));
    let found: Vec<Value> = documents
        .flat_map(|document| {
            let spec = &document["spec"];
            let job = spec.pointer("/jobTemplate/spec").unwrap_or(spec);
            job["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default()
        })
        .collect();
    assert!(found.len() >= 4, "migrate, maintain, run and serve");
    found
}
