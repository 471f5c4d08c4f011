//! The loader's metrics: one set for all hosts.
//!
//! The names under `postgresql_consumer_` are those of the consumer that this loader replaces, so that its dashboards
//! keep working.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const RECEIVED: &str = "postgresql_consumer_records_received_total";
const INSERTED: &str = "postgresql_consumer_records_inserted_total";
const BATCHES: &str = "postgresql_consumer_batches_processed_total";
const ERRORS: &str = "postgresql_consumer_errors_total";
const INSERT_DURATION: &str = "postgresql_consumer_batch_insert_duration_seconds";
const BATCH_SIZE: &str = "postgresql_consumer_batch_size";

const WINDOWS: &str = "contract_data_loader_windows_total";
const ROWS: &str = "contract_data_loader_rows_total";
const TABLE_ROWS: &str = "contract_data_loader_table_rows_total";
const DRAIN_DURATION: &str = "contract_data_loader_drain_duration_seconds";
const STAGE_DURATION: &str = "contract_data_loader_stage_duration_seconds";
const LOAD_DURATION: &str = "contract_data_loader_load_duration_seconds";
const FOLD_DURATION: &str = "contract_data_loader_fold_duration_seconds";
const LAG_LEDGERS: &str = "contract_data_loader_lag_ledgers";
const LAG_SECONDS: &str = "contract_data_loader_lag_seconds";
const GAPS: &str = "contract_data_loader_gaps";
const FAILED_WINDOWS: &str = "contract_data_loader_failed_windows";

pub(crate) const TIP_LEDGER: &str = "contract_data_loader_tip_ledger";
pub(crate) const RETAINED_FROM: &str = "contract_data_loader_retained_from_ledger";
pub(crate) const FIRST_LEDGER: &str = "contract_data_loader_first_ledger";
pub(crate) const LAST_LEDGER: &str = "contract_data_loader_last_ledger";
pub(crate) const DATABASE_REACHABLE: &str = "contract_data_loader_database_reachable";
pub(crate) const SOURCE_REACHABLE: &str = "contract_data_loader_source_reachable";
const LAST_SUCCESS: &str = "contract_data_loader_last_success_timestamp_seconds";
pub(crate) const UNDER_WAY: &str = "contract_data_loader_windows_under_way";
pub(crate) const UNFOLDED: &str = "contract_data_loader_unfolded_windows";
pub(crate) const UNARCHIVED: &str = "contract_data_loader_unarchived_windows";
pub(crate) const TABLE_BYTES: &str = "contract_data_loader_table_bytes";
const BUILD_INFO: &str = "contract_data_loader_build_info";

/// Describes each metric and its unit to the host's recorder. Call it once, after the recorder is installed.
pub fn describe_metrics() {
    describe_counter!(RECEIVED, Unit::Count, "Rows of windows that the source sent");
    describe_counter!(INSERTED, Unit::Count, "Rows that PostgreSQL has committed");
    describe_counter!(BATCHES, Unit::Count, "Windows that PostgreSQL has committed");
    describe_counter!(ERRORS, Unit::Count, "Failures of a step, including those that a retry cured");
    describe_histogram!(INSERT_DURATION, Unit::Seconds, "Time of the COPY of one window");
    describe_histogram!(BATCH_SIZE, Unit::Count, "Rows of one window");
    describe_counter!(WINDOWS, Unit::Count, "Windows completed, including those without rows");
    describe_counter!(ROWS, Unit::Count, "Rows of completed windows");
    describe_counter!(TABLE_ROWS, Unit::Count, "Rows of the other tables of completed windows, by table");
    describe_histogram!(DRAIN_DURATION, Unit::Seconds, "Time spent waiting for the source, for one window");
    describe_histogram!(STAGE_DURATION, Unit::Seconds, "Time spent writing the object of one window");
    describe_histogram!(LOAD_DURATION, Unit::Seconds, "Time from the claim of a window to its commit");
    describe_histogram!(FOLD_DURATION, Unit::Seconds, "Time of one pass of the fold");
    describe_gauge!(LAG_LEDGERS, Unit::Count, "Ledgers from the last completed one to the tip of the source");
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "Age of the newest row");
    describe_gauge!(GAPS, Unit::Count, "Ranges of missing ledgers between completed windows");
    describe_gauge!(FAILED_WINDOWS, Unit::Count, "Windows that failed and are not loaded");
    describe_gauge!(TIP_LEDGER, Unit::Count, "The last ledger of the source");
    describe_gauge!(FIRST_LEDGER, Unit::Count, "The first completed ledger");
    describe_gauge!(RETAINED_FROM, Unit::Count, "The first retained ledger, if retention has set one");
    describe_gauge!(LAST_LEDGER, Unit::Count, "The last completed ledger");
    describe_gauge!(DATABASE_REACHABLE, Unit::Count, "1 while the database answers, else 0");
    describe_gauge!(SOURCE_REACHABLE, Unit::Count, "1 while the source answers, else 0");
    describe_gauge!(LAST_SUCCESS, Unit::Seconds, "When the last run succeeded, in seconds since 1970");
    describe_gauge!(UNDER_WAY, Unit::Count, "Windows that are being loaded");
    describe_gauge!(UNFOLDED, Unit::Count, "Completed windows that are not in current_states yet");
    describe_gauge!(UNARCHIVED, Unit::Count, "Completed windows whose object is not in the archive yet");
    describe_gauge!(TABLE_BYTES, Unit::Bytes, "Size of a table with its indexes, summed over its partitions");
    describe_gauge!(BUILD_INFO, Unit::Count, "1, with the version of the loader");
}

/// Registers counters and histograms at 0, for a host whose metrics are scraped: a rate needs an initial 0. `version`
/// is the host's version.
pub fn begin_metrics(version: &'static str) {
    for name in [RECEIVED, INSERTED, BATCHES, ERRORS, WINDOWS, ROWS] {
        counter!(name).increment(0);
    }
    for name in [INSERT_DURATION, BATCH_SIZE, DRAIN_DURATION, STAGE_DURATION, LOAD_DURATION, FOLD_DURATION] {
        drop(histogram!(name));
    }
    gauge!(BUILD_INFO, "version" => version).set(1.0);
}

/// A run succeeded, at this many seconds since 1970.
pub fn record_success(timestamp: f64) {
    gauge!(LAST_SUCCESS).set(timestamp);
}

/// Counts a failure outside of a run.
pub fn count_failure() {
    failed();
}

/// Rows of a window arrived from the source. Rows for the fingerprint check of each run are not counted, so that the
/// difference between received and inserted rows shows repeated work.
pub(crate) fn received(rows: u64) {
    counter!(RECEIVED).increment(rows);
}

/// A step failed; a retry may follow.
pub(crate) fn failed() {
    counter!(ERRORS).increment(1);
}

/// A window was drained and staged, with the times spent on source and store.
pub(crate) fn staged(draining: Duration, staging: Duration) {
    histogram!(DRAIN_DURATION).record(draining);
    histogram!(STAGE_DURATION).record(staging);
}

/// A window was committed.
pub(crate) fn loaded(rows: u64, copying: Duration, whole: Duration) {
    counter!(INSERTED).increment(rows);
    counter!(BATCHES).increment(1);
    counter!(WINDOWS).increment(1);
    counter!(ROWS).increment(rows);
    histogram!(BATCH_SIZE).record(rows as f64);
    histogram!(INSERT_DURATION).record(copying);
    histogram!(LOAD_DURATION).record(whole);
}

/// Another table of a window was committed with it.
pub(crate) fn loaded_table(table: &'static str, rows: u64) {
    counter!(TABLE_ROWS, "table" => table).increment(rows);
}

/// Windows were folded.
pub(crate) fn folded(took: Duration) {
    histogram!(FOLD_DURATION).record(took);
}

/// The state of the database.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The last ledger of the source, if known.
    pub(crate) tip: Option<i64>,
    /// The last completed ledger.
    pub(crate) last_ledger: Option<i64>,
    /// Seconds since the newest row's ledger closed.
    pub(crate) newest_row_age: Option<f64>,
    /// Ranges of missing ledgers between completed windows.
    pub(crate) gaps: i64,
    /// Windows that failed and are not loaded.
    pub(crate) failed: i64,
}

/// The state of the database.
pub(crate) fn standing(standing: &Standing) {
    if let Some((tip, last)) = standing.tip.zip(standing.last_ledger) {
        gauge!(LAG_LEDGERS).set((tip - last).max(0) as f64);
    }
    if let Some(age) = standing.newest_row_age {
        gauge!(LAG_SECONDS).set(age);
    }
    gauge!(GAPS).set(standing.gaps as f64);
    gauge!(FAILED_WINDOWS).set(standing.failed as f64);
}
