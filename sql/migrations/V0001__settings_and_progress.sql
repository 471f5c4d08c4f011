-- Settings, the record of what is loaded, and the record of functions and views.
-- Names, hashes and XDR are ASCII, so text is COLLATE "C": it sorts and compares by bytes, which index builds feel.

revoke all on schema contract_data from public;

comment on schema contract_data is
  'Every change to Stellar smart-contract data, window by window, and the state that follows from it.';

create table contract_data.settings (
  singleton boolean not null default true,
  database_id uuid not null default gen_random_uuid(),
  network text not null,
  partition_ledgers bigint not null,
  schedule_start bigint,
  fingerprint_ledger bigint,
  fingerprint_digest text,
  retained_from bigint,
  condensed_to bigint,
  oldest_loader integer not null default 1,
  created_at timestamptz not null default now(),
  constraint settings_singleton_pkey primary key (singleton),
  constraint settings_one_row_check check (singleton),
  constraint settings_partition_ledgers_check check (partition_ledgers between 1 and 4294967295),
  constraint settings_retained_from_check check (retained_from > 0 and retained_from % partition_ledgers = 0),
  constraint settings_condensed_to_check
    check (condensed_to is null or condensed_to % partition_ledgers = 0 and coalesce(condensed_to <= retained_from, false))
);

comment on table contract_data.settings is 'One row: what this database is for. Written by the first `migrate`, checked by every loader.';
comment on column contract_data.settings.singleton is 'Always true: there is one row.';
comment on column contract_data.settings.database_id is 'Tells this database from any other that shares a staging area.';
comment on column contract_data.settings.network is 'The network whose ledgers are loaded here; loaders of another are refused.';
comment on column contract_data.settings.partition_ledgers is 'Ledgers per partition of entries; no window crosses a multiple of it.';
comment on column contract_data.settings.schedule_start is 'The first ledger that scheduled runs load; stored by the first of them.';
comment on column contract_data.settings.fingerprint_ledger is 'A ledger loaded early on: a source that has other rows for it serves another chain.';
comment on column contract_data.settings.fingerprint_digest is 'Digest of the rows of that ledger.';
comment on column contract_data.settings.retained_from is
  'The first ledger of the history that is kept: nothing is loaded below it. Null: everything is kept. It never falls.';
comment on column contract_data.settings.condensed_to is
  'Below this ledger, the fold no longer reads entries: retained_states holds the last version of each key. Never above retained_from.';
comment on column contract_data.settings.oldest_loader is 'The oldest schema version whose loader still works with this schema.';
comment on column contract_data.settings.created_at is 'When the first migrate wrote it.';

create table contract_data.ingestion_progress (
  id bigint generated always as identity,
  batch_id uuid not null,
  start_ledger bigint not null,
  end_ledger bigint not null,
  entries_processed bigint not null default 0,
  started_at timestamptz not null default now(),
  completed_at timestamptz,
  status text not null,
  error_message text,
  source text,
  evidence text,
  object text,
  object_bytes bigint,
  rows_digest text,
  attempts integer not null default 1,
  drain_ms bigint,
  load_ms bigint,
  last_closed_at timestamptz,
  folded boolean not null default false,
  archived boolean not null default false,
  expires_at timestamptz,
  constraint ingestion_progress_pkey primary key (id),
  constraint ingestion_progress_window_check check (0 <= start_ledger and start_ledger <= end_ledger),
  constraint ingestion_progress_status_check check (status in ('processing', 'completed', 'failed')),
  constraint ingestion_progress_completed_at_check check (status = 'processing' or completed_at is not null),
  -- No ledger is loaded twice, whatever writes: two completed windows never share a ledger.
  constraint ingestion_progress_no_overlap
    exclude using gist (int8range(start_ledger, end_ledger, '[]') with &&) where (status = 'completed')
);

create index ingestion_progress_start on contract_data.ingestion_progress (start_ledger, end_ledger) where status = 'completed';
create index ingestion_progress_completed_at on contract_data.ingestion_progress (completed_at desc);
create index ingestion_progress_batch on contract_data.ingestion_progress (batch_id);
create index ingestion_progress_unfolded on contract_data.ingestion_progress (start_ledger) where status = 'completed' and not folded;
create index ingestion_progress_unarchived on contract_data.ingestion_progress (start_ledger) where status = 'completed' and not archived;
create index ingestion_progress_open on contract_data.ingestion_progress (status) where status <> 'completed';

-- A trigger cannot be created without its function. `migrate` replaces this body by sql/functions/refuse_unretained_window.sql
-- once the migrations are done; until then no window is recorded as loaded.
create function contract_data.refuse_unretained_window() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'the functions of this schema are missing: run `ingestctl migrate`' using errcode = '55000';
end $$;

create trigger ingestion_progress_retained
  before insert or update of status, batch_id, start_ledger, end_ledger on contract_data.ingestion_progress
  for each row when (new.status = 'completed') execute function contract_data.refuse_unretained_window();

comment on table contract_data.ingestion_progress is
  'One row per window of ledgers. completed: its rows are in entries, exactly once, committed together with this row. processing: a hint that a loader works on it. failed: what went wrong.';
comment on column contract_data.ingestion_progress.id is 'Identity of the row; it stays when the window is replaced.';
comment on column contract_data.ingestion_progress.batch_id is 'The staged object of this window; entries carry it too.';
comment on column contract_data.ingestion_progress.start_ledger is 'First ledger of the window, inclusive.';
comment on column contract_data.ingestion_progress.end_ledger is 'Last ledger of the window, inclusive.';
comment on column contract_data.ingestion_progress.entries_processed is 'Rows of the window; 0 says that nothing happened in it.';
comment on column contract_data.ingestion_progress.started_at is 'When work on the window began.';
comment on column contract_data.ingestion_progress.completed_at is 'When the load transaction was about to commit, or the window failed.';
comment on column contract_data.ingestion_progress.status is 'processing, completed or failed.';
comment on column contract_data.ingestion_progress.error_message is 'Why it failed: ledger, column and cause.';
comment on column contract_data.ingestion_progress.source is 'Where the rows came from: flight, staging (a sealed object of an earlier attempt) or archive.';
comment on column contract_data.ingestion_progress.evidence is 'How completeness was proven: declared, or trusted by the operator.';
comment on column contract_data.ingestion_progress.object is 'The Parquet object, relative to the staging URL: in archive/ once archived, in staging/ before.';
comment on column contract_data.ingestion_progress.object_bytes is 'Size of the object.';
comment on column contract_data.ingestion_progress.rows_digest is 'Hex SHA-256 over the COPY BINARY tuples of the rows, in order.';
comment on column contract_data.ingestion_progress.attempts is 'How often the window was tried.';
comment on column contract_data.ingestion_progress.drain_ms is 'Milliseconds to drain and stage.';
comment on column contract_data.ingestion_progress.load_ms is 'Milliseconds from the claim to the end of the COPY.';
comment on column contract_data.ingestion_progress.last_closed_at is 'Close time of the newest row, for the lag in time.';
comment on column contract_data.ingestion_progress.folded is 'True once key_states holds what these rows say.';
comment on column contract_data.ingestion_progress.archived is 'True once the object stands in archive/ under its final name.';
comment on column contract_data.ingestion_progress.expires_at is 'processing rows only: when the hint expires.';

create table contract_data.schema_functions (
  name text not null,
  source_digest text not null,
  definition_digest text not null,
  applied_at timestamptz not null default now(),
  constraint schema_functions_pkey primary key (name)
);

comment on table contract_data.schema_functions is
  'Functions and views as the last `migrate` left them: `migrate` compares these digests to find those that it must replace.';
comment on column contract_data.schema_functions.name is 'The function or view, named as its file in sql/functions.';
comment on column contract_data.schema_functions.source_digest is 'Hex SHA-256 of that file.';
comment on column contract_data.schema_functions.definition_digest is 'Hex SHA-256 of its definition in the database, after the file was applied.';
comment on column contract_data.schema_functions.applied_at is 'When the file was applied.';
