//! The statements of `sql/loader`, by name, and the files of `sql/functions`.

pub(crate) const CHECKPOINT_STATES: &str = include_str!("../../../../sql/loader/checkpoint_states.sql");
pub(crate) const COMPLETED_WINDOWS: &str = include_str!("../../../../sql/loader/completed_windows.sql");
pub(crate) const CONDENSABLE_PARTITIONS: &str =
    include_str!("../../../../sql/loader/condensable_partitions.sql");
pub(crate) const CONTROL_LEDGER: &str = include_str!("../../../../sql/loader/control_ledger.sql");
pub(crate) const COVERAGE: &str = include_str!("../../../../sql/loader/coverage.sql");
pub(crate) const COVERAGE_BINS: &str = include_str!("../../../../sql/loader/coverage_bins.sql");
pub(crate) const COVERING_WINDOWS: &str = include_str!("../../../../sql/loader/covering_windows.sql");
pub(crate) const DROPPABLE_PARTITIONS: &str = include_str!("../../../../sql/loader/droppable_partitions.sql");
pub(crate) const DUE: &str = include_str!("../../../../sql/loader/due.sql");
pub(crate) const FAILED_WINDOWS: &str = include_str!("../../../../sql/loader/failed_windows.sql");
pub(crate) const FALSE_ASSETS: &str = include_str!("../../../../sql/loader/false_assets.sql");
pub(crate) const FINGERPRINT_CANDIDATE: &str =
    include_str!("../../../../sql/loader/fingerprint_candidate.sql");
pub(crate) const FIRST_LEDGER: &str = include_str!("../../../../sql/loader/first_ledger.sql");
pub(crate) const FOLDED_DIFFERENCES: &str = include_str!("../../../../sql/loader/folded_differences.sql");
pub(crate) const FOLD_DIFFERENCES: &str = include_str!("../../../../sql/loader/fold_differences.sql");
pub(crate) const FUNCTION_DIGESTS: &str = include_str!("../../../../sql/loader/function_digests.sql");
pub(crate) const GIVEN_UP_WINDOWS: &str = include_str!("../../../../sql/loader/given_up_windows.sql");
pub(crate) const GRANTS: &str = include_str!("../../../../sql/loader/grants.sql");
pub(crate) const HEALTH: &str = include_str!("../../../../sql/loader/health.sql");
pub(crate) const KNOWN_OF_ARCHIVED: &str = include_str!("../../../../sql/loader/known_of_archived.sql");
pub(crate) const KNOWN_OF_OBJECT: &str = include_str!("../../../../sql/loader/known_of_object.sql");
pub(crate) const LAST_LEDGER: &str = include_str!("../../../../sql/loader/last_ledger.sql");
pub(crate) const LAST_WINDOWS: &str = include_str!("../../../../sql/loader/last_windows.sql");
pub(crate) const LEDGER_FINGERPRINT: &str = include_str!("../../../../sql/loader/ledger_fingerprint.sql");
pub(crate) const LOADS_UNDER_WAY: &str = include_str!("../../../../sql/loader/loads_under_way.sql");
pub(crate) const NEWEST_LEDGER: &str = include_str!("../../../../sql/loader/newest_ledger.sql");
pub(crate) const OPEN_WINDOWS: &str = include_str!("../../../../sql/loader/open_windows.sql");
pub(crate) const OVERLAPPING_WINDOWS: &str = include_str!("../../../../sql/loader/overlapping_windows.sql");
pub(crate) const PACE: &str = include_str!("../../../../sql/loader/pace.sql");
pub(crate) const RECOUNT_FOLDED: &str = include_str!("../../../../sql/loader/recount_folded.sql");
pub(crate) const RETAINED_PARTITIONS: &str = include_str!("../../../../sql/loader/retained_partitions.sql");
pub(crate) const RETENTION_BOUNDARY: &str = include_str!("../../../../sql/loader/retention_boundary.sql");
pub(crate) const ROWS_BINARY: &str = include_str!("../../../../sql/loader/rows_binary.sql");
pub(crate) const STRAY_ROWS: &str = include_str!("../../../../sql/loader/stray_rows.sql");
pub(crate) const TEND_UNFOLDED: &str = include_str!("../../../../sql/loader/tend_unfolded.sql");
pub(crate) const THROUGHPUT: &str = include_str!("../../../../sql/loader/throughput.sql");
pub(crate) const TTLS_KNOWN: &str = include_str!("../../../../sql/loader/ttls_known.sql");
pub(crate) const TTL_DIFFERENCES: &str = include_str!("../../../../sql/loader/ttl_differences.sql");
pub(crate) const UNARCHIVED_WINDOWS: &str = include_str!("../../../../sql/loader/unarchived_windows.sql");
pub(crate) const UNCOVERED: &str = include_str!("../../../../sql/loader/uncovered.sql");
pub(crate) const UNLEARNT_ASSETS: &str = include_str!("../../../../sql/loader/unlearnt_assets.sql");
pub(crate) const WINDOW_TABLES: &str = include_str!("../../../../sql/loader/window_tables.sql");

/// A function or view of the schema.
pub(super) struct Function {
    /// Its name, and that of the file.
    pub(super) name: &'static str,
    /// The file, which creates or replaces it.
    pub(super) sql: &'static str,
}

/// The files of these names.
macro_rules! functions {
    ($($name:literal),+ $(,)?) => {
        &[$(Function { name: $name, sql: include_str!(concat!("../../../../sql/functions/", $name, ".sql")) }),+]
    };
}

/// All files, in the order in which they are applied: a view comes after the views that it reads, a function in SQL after
/// the views that it reads. PL/pgSQL looks up names only when it runs.
pub(super) const FUNCTIONS: &[Function] = functions![
    "refuse_unretained_window",
    "refuse_unclaimed_rows",
    "check_replaced_window",
    "check_window",
    "check_object",
    "check_load",
    "check_partition",
    "has_partitions",
    "ensure_partition",
    "tend_table",
    "tend_partition",
    "strkey",
    "strkey_payload",
    "asset_contract",
    "spread_assets",
    "learn_assets",
    "fold_statement",
    "fold_ttls_statement",
    "note_folded",
    "fold_windows",
    "fold_pending",
    "hint_window",
    "unhint_window",
    "claim_window",
    "replace_window",
    "record_table",
    "snapshot_ledgers",
    "check_snapshot",
    "check_snapshot_object",
    "begin_snapshot",
    "record_snapshot_table",
    "finish_snapshot",
    "archive_snapshot",
    "name_assets",
    "finish_window",
    "fail_window",
    "mark_archived",
    "add_assets",
    "store_schedule_start",
    "store_fingerprint",
    "store_fingerprint_hash",
    "refresh_current_states",
    "forget_snapshot",
    "retain_from",
    "condense_partition",
    "current_states",
    "asset_summary",
    "recent_activity",
    "ledger_gaps",
    "table_sizes",
    "get_balance_history",
    "get_top_holders",
    "liveness",
    "xdr_int32",
    "xdr_int64",
    "xdr_number",
    "xdr_escaped",
    "xdr_text",
    "xdr_error",
    "encode_strkey",
    "xdr_address",
    "scval",
    "known_history",
    "states_at",
    "storage",
    "changes_between",
    "token_metadata",
    "contract_tokens",
    "token_balances",
    "get_token_holders",
    "strkey_xdr",
    "hubble_contract_data",
];
