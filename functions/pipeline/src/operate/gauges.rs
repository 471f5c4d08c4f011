//! Gauges: an observer's results as metrics.

use metrics::gauge;

use super::overview::Overview;
use crate::contract::wire::SourceRange;
use crate::metrics::{
    DATABASE_REACHABLE, FIRST_LEDGER, LAST_LEDGER, RETAINED_FROM, SOURCE_REACHABLE, Standing, TABLE_BYTES,
    TIP_LEDGER, UNARCHIVED, UNDER_WAY, UNFOLDED, standing,
};

/// Records whether database and source answer, and the source's range.
pub(super) fn reachable(database: bool, source: bool, range: Option<&SourceRange>) {
    gauge!(DATABASE_REACHABLE).set(if database { 1.0 } else { 0.0 });
    gauge!(SOURCE_REACHABLE).set(if source { 1.0 } else { 0.0 });
    if let Some(range) = range {
        gauge!(TIP_LEDGER).set(range.end_ledger as f64);
    }
}

/// Records the state of the database from an overview.
pub(super) fn overview(overview: &Overview) {
    let status = &overview.status;
    standing(&Standing {
        tip: status.source.as_ref().map(|source| source.end_ledger),
        last_ledger: status.last_ledger.map(i64::from),
        newest_row_age: status.lag_seconds.map(|seconds| seconds as f64),
        gaps: status.gap_count,
        failed: status.failed_count,
    });
    let ledgers = [
        (FIRST_LEDGER, status.first_ledger),
        (LAST_LEDGER, status.last_ledger),
        (RETAINED_FROM, status.retained_from),
    ];
    for (name, ledger) in ledgers {
        if let Some(ledger) = ledger {
            gauge!(name).set(f64::from(ledger));
        }
    }
    gauge!(UNDER_WAY).set(status.under_way.len() as f64);
    gauge!(UNFOLDED).set(status.unfolded_windows as f64);
    gauge!(UNARCHIVED).set(status.unarchived_windows as f64);
    for size in &overview.tables {
        gauge!(TABLE_BYTES, "table" => size.table.clone()).set(size.bytes as f64);
    }
}
