//! `infra/template.yaml`, and the versions of Rust.

use serde_json::Value;

use crate::variables::all_are_read;
use crate::{Names, names, none, tree};

/// The size limit of a template that is not in a bucket.
const INLINE_BYTES: usize = 51_200;

#[test]
fn the_template_is_small_enough_to_be_given_inline() {
    let size = tree::text("infra/template.yaml").len();
    assert!(size <= INLINE_BYTES, "{size} bytes, at most {INLINE_BYTES}");
}

#[test]
fn the_functions_get_only_variables_that_are_read() {
    let template = tree::yaml("infra/template.yaml");
    let resources = template["Resources"].as_object().unwrap();
    let functions = resources.values().filter(|resource| resource["Type"] == "AWS::Lambda::Function");
    all_are_read(
        "infra/template.yaml",
        &functions.flat_map(|f| keys(&f["Properties"]["Environment"]["Variables"])).collect(),
    );
}

#[test]
fn every_parameter_stands_in_one_group() {
    let template = tree::yaml("infra/template.yaml");
    let groups =
        template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].as_array().unwrap();
    let mut grouped: Vec<&str> =
        groups.iter().flat_map(|group| tree::strings(&group["Parameters"])).collect();
    let number = grouped.len();
    grouped.sort_unstable();
    grouped.dedup();
    assert_eq!(grouped.len(), number, "a parameter stands in two groups");
    assert_eq!(names(grouped), keys(&template["Parameters"]));
}

#[test]
fn the_example_sets_only_parameters_that_there_are() {
    let example = keys(&tree::json("infra/parameters.example.json"));
    none(
        "parameters.example.json sets parameters of the template",
        example.difference(&keys(&tree::yaml("infra/template.yaml")["Parameters"])),
    );
}

#[test]
fn image_and_toolchain_have_the_rust_of_the_workspace() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        tree::text("infra/container/Containerfile").contains(&format!("rust:{version}.")),
        "not built with Rust {version}"
    );
    assert!(
        tree::text("rust-toolchain.toml").contains(&format!("channel = \"{version}.")),
        "not the toolchain {version}"
    );
}

/// The names of an object's fields.
fn keys(object: &Value) -> Names {
    names(object.as_object().expect("an object").keys().cloned())
}
