//! `infra/compose.yaml`.

use serde_json::{Map, Value};

use crate::kubernetes::MEMORY_MIB;
use crate::variables::all_are_read;
use crate::{names, none, tree};

const FILE: &str = "infra/compose.yaml";

#[test]
fn every_service_is_confined() {
    for (name, service) in &services() {
        assert_eq!(service["read_only"], true, "{name} may write to its root");
        assert_eq!(tree::strings(&service["cap_drop"]), ["ALL"], "{name} keeps capabilities");
        assert_eq!(
            tree::strings(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name} may gain privileges"
        );
        assert!(
            service.get("privileged").is_none() && service.get("network_mode").is_none(),
            "{name} has privileges"
        );
        assert!(service.get("cap_add").is_none() || name == "postgres", "{name} has capabilities");
        let open =
            tree::strings(&service["ports"]).into_iter().filter(|port| !port.starts_with("127.0.0.1:"));
        none(&format!("the ports of {name} are this machine's alone"), open);
        let mounts = tree::strings(&service["volumes"]).into_iter().filter(|mount| mount.starts_with('.'));
        none(
            &format!("what {name} mounts of the repository is read-only"),
            mounts.filter(|mount| !mount.ends_with(":ro")),
        );
    }
}

#[test]
fn the_programs_get_only_variables_that_are_read() {
    let services = services();
    let own = services.iter().filter(|(name, service)| is_own(service) && *name != "source");
    all_are_read(
        FILE,
        &own.flat_map(|(_, service)| service["environment"].as_object().unwrap().keys().cloned()).collect(),
    );
}

#[test]
fn passwords_makes_every_password() {
    let wanted = tree::text(FILE);
    let wanted = names(
        wanted.split("${").skip(1).filter_map(|text| text.split_once("_PASSWORD:?")).map(|(name, _)| name),
    );
    let script = tree::text("infra/passwords");
    let (_, list) = script.split_once("for name in ").expect("a loop over names");
    assert_eq!(names(list.split(';').next().unwrap().split(' ')), wanted);
}

#[test]
fn the_loader_has_the_memory_that_it_has_in_kubernetes() {
    assert_eq!(services()["loader"]["mem_limit"], format!("{MEMORY_MIB}m"));
}

fn services() -> Map<String, Value> {
    tree::yaml(FILE)["services"].as_object().expect("services").clone()
}

/// Whether a service runs the image of this repository.
fn is_own(service: &Value) -> bool {
    service["image"].as_str().is_some_and(|image| image.contains("contract-data-loader"))
}
