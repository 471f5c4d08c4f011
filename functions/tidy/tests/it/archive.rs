//! `infra/analytics.yaml`, the archive as a table.

use crate::tree;

#[test]
fn the_table_has_the_columns_of_the_archive_in_order() {
    let template = tree::yaml("infra/analytics.yaml");
    let table = &template["Resources"]["Entries"]["Properties"]["TableInput"]["StorageDescriptor"]["Columns"];
    let described: Vec<(&str, &str)> = table
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| (column["Name"].as_str().unwrap(), column["Type"].as_str().unwrap()))
        .collect();
    let schema = &pipeline::Table::Data.staged_schema();
    let columns: Vec<(&str, &str)> = schema
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), glue(&field.data_type().to_string())))
        .collect();
    assert_eq!(described, columns);
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
