//! What the loader measures: one set of metrics, whatever the host makes of it.
//!
//! The names under `postgresql_consumer_` are those of the consumer that this loader replaces: dashboards made for it go
//! on working.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::health::Health;

const RECEIVED: &str = "postgresql_consumer_records_received_total";
const INSERTED: &str = "postgresql_consumer_records_inserted_total";
const BATCHES: &str = "postgresql_consumer_batches_processed_total";
const ERRORS: &str = "postgresql_consumer_errors_total";
const INSERT_DURATION: &str = "postgresql_consumer_batch_insert_duration_seconds";
const BATCH_SIZE: &str = "postgresql_consumer_batch_size";

const WINDOWS: &str = "contract_data_loader_windows_total";
const ROWS: &str = "contract_data_loader_rows_total";
const DRAIN_DURATION: &str = "contract_data_loader_drain_duration_seconds";
const STAGE_DURATION: &str = "contract_data_loader_stage_duration_seconds";
const LOAD_DURATION: &str = "contract_data_loader_load_duration_seconds";
const FOLD_DURATION: &str = "contract_data_loader_fold_duration_seconds";
const LAG_LEDGERS: &str = "contract_data_loader_lag_ledgers";
const LAG_SECONDS: &str = "contract_data_loader_lag_seconds";
const GAPS: &str = "contract_data_loader_gaps";
const FAILED_WINDOWS: &str = "contract_data_loader_failed_windows";

/// Tells the recorder of the host what each metric is, and its unit. To be called once, after the recorder is installed.
pub fn describe_metrics() {
    describe_counter!(RECEIVED, Unit::Count, "Rows that the source sent");
    describe_counter!(INSERTED, Unit::Count, "Rows that PostgreSQL has committed");
    describe_counter!(BATCHES, Unit::Count, "Windows that PostgreSQL has committed");
    describe_counter!(ERRORS, Unit::Count, "Failures of a step, also those that another attempt cured");
    describe_histogram!(INSERT_DURATION, Unit::Seconds, "Time of the COPY of one window");
    describe_histogram!(BATCH_SIZE, Unit::Count, "Rows of one window");
    describe_counter!(WINDOWS, Unit::Count, "Windows completed, also those without rows");
    describe_counter!(ROWS, Unit::Count, "Rows of completed windows");
    describe_histogram!(DRAIN_DURATION, Unit::Seconds, "Time spent waiting for the source, for one window");
    describe_histogram!(STAGE_DURATION, Unit::Seconds, "Time spent writing the object of one window");
    describe_histogram!(LOAD_DURATION, Unit::Seconds, "Time from the claim of a window to its commit");
    describe_histogram!(FOLD_DURATION, Unit::Seconds, "Time of one pass of the fold");
    describe_gauge!(LAG_LEDGERS, Unit::Count, "Ledgers from the last completed one to the tip of the source");
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "Age of the newest row");
    describe_gauge!(GAPS, Unit::Count, "Runs of missing ledgers between completed windows");
    describe_gauge!(FAILED_WINDOWS, Unit::Count, "Windows that failed and are not loaded");
}

/// Rows came from the source.
pub(crate) fn received(rows: u64) {
    counter!(RECEIVED).increment(rows);
}

/// A step failed; another attempt may follow.
pub(crate) fn failed() {
    counter!(ERRORS).increment(1);
}

/// A window was drained and staged: so much of the time was the source's, so much the store's.
pub(crate) fn staged(draining: Duration, staging: Duration) {
    histogram!(DRAIN_DURATION).record(draining);
    histogram!(STAGE_DURATION).record(staging);
}

/// A window is committed.
pub(crate) fn loaded(rows: u64, copying: Duration, whole: Duration) {
    counter!(INSERTED).increment(rows);
    counter!(BATCHES).increment(1);
    counter!(WINDOWS).increment(1);
    counter!(ROWS).increment(rows);
    histogram!(BATCH_SIZE).record(rows as f64);
    histogram!(INSERT_DURATION).record(copying);
    histogram!(LOAD_DURATION).record(whole);
}

/// Windows were folded.
pub(crate) fn folded(took: Duration) {
    histogram!(FOLD_DURATION).record(took);
}

/// How the database stands, with the last ledger of the source.
pub(crate) fn health(health: &Health, tip: Option<u32>) {
    if let Some((tip, last)) = tip.zip(health.last_ledger) {
        gauge!(LAG_LEDGERS).set((i64::from(tip) - last).max(0) as f64);
    }
    if let Some(age) = health.newest_row_age {
        gauge!(LAG_SECONDS).set(age);
    }
    gauge!(GAPS).set(health.gaps as f64);
    gauge!(FAILED_WINDOWS).set(health.failed as f64);
}
