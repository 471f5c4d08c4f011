//! The metrics of pipeline, compared with those that alerts and dashboards use.

use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::{Names, names, none, tree};

const GRAFANA: &str = "infra/grafana/dashboards/contract-data-loader.json";

/// Two repeat other metrics under the names of older dashboards; one exists only after a retention, one where the source has more
/// tables.
const NOT_SHOWN: [&str; 4] = [
    "contract_data_loader_retained_from_ledger",
    "contract_data_loader_rows_total",
    "contract_data_loader_table_rows_total",
    "postgresql_consumer_batches_processed_total",
];

#[test]
fn alerts_and_dashboards_ask_only_for_metrics_that_there_are() {
    let there = described();
    assert!(there.len() > 20, "hardly any metrics: {there:?}");
    let files = [GRAFANA, "infra/prometheus/alerts.yml", "infra/dashboard.yaml", "infra/template.yaml"];
    for file in files {
        let asked = asked(file);
        assert!(!asked.is_empty(), "{file} asks for no metric");
        none(&format!("{file} asks only for metrics that there are"), asked.difference(&there));
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown = &asked(GRAFANA) | &names(NOT_SHOWN);
    none("the dashboard shows every metric", described().difference(&shown));
    none("NOT_SHOWN names only metrics that are not shown", names(NOT_SHOWN).intersection(&asked(GRAFANA)));
}

/// The names of our metrics in a file, without the suffixes that Prometheus adds to a histogram.
fn asked(file: &str) -> Names {
    let text = tree::text(file);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words
        .filter(|word| ["contract_data_loader_", "postgresql_consumer_"].iter().any(|p| word.starts_with(p)));
    names(ours.map(|word| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
    }))
}

/// The metrics that pipeline describes to a recorder.
fn described() -> Names {
    let recorder = Described::default();
    metrics::with_local_recorder(&recorder, pipeline::describe_metrics);
    recorder.0.into_inner().unwrap()
}

/// Keeps the names of metrics, and no values.
#[derive(Default)]
struct Described(Mutex<Names>);

impl Described {
    fn add(&self, name: &KeyName) {
        self.0.lock().unwrap().insert(name.as_str().to_owned());
    }
}

impl Recorder for Described {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.add(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.add(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.add(&name);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
