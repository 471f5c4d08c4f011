//! `infra/analytics.yaml`, the archive as tables.

use pipeline::Table;

use crate::tree;

#[test]
fn the_tables_have_the_columns_of_the_archive_in_order() {
    for (resource, table) in
        [("Entries", Table::Data), ("TtlChanges", Table::Ttl), ("NamedAssets", Table::Assets)]
    {
        check(resource, table);
    }
}

fn check(resource: &str, table: Table) {
    let template = tree::yaml("infra/analytics.yaml");
    let stored = &template["Resources"][resource]["Properties"]["TableInput"]["StorageDescriptor"];
    let location = stored["Location"]["Fn::Sub"].as_str().or_else(|| stored["Location"].as_str());
    let folder = format!("archive/contract_{}/v1/", table.name());
    assert!(
        location.is_some_and(|location| location.ends_with(&folder)),
        "{resource}: {:?}",
        stored["Location"]
    );
    let schema = &table.staged_schema();
    let table = &stored["Columns"];
    let described: Vec<(&str, &str)> = table
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| (column["Name"].as_str().unwrap(), column["Type"].as_str().unwrap()))
        .collect();
    let columns: Vec<(&str, &str)> = schema
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), glue(&field.data_type().to_string())))
        .collect();
    assert_eq!(described, columns, "{resource}");
}

/// Glue's name of an Arrow type. Glue has no unsigned numbers, so it takes the next larger type.
fn glue(arrow: &str) -> &'static str {
    match arrow {
        "Utf8" => "string",
        "Int32" => "int",
        "UInt32" | "Int64" => "bigint",
        "Boolean" => "boolean",
        timestamp if timestamp.starts_with("Timestamp(µs") => "timestamp",
        other => panic!("no type of Glue for {other}"),
    }
}
