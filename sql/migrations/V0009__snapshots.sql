-- The state at a checkpoint of the network, as the state below the first window: retained_states and retained_ttls hold it, as they
-- hold what retention has condensed, and settings.retained_from is the ledger after it. So that need not be a multiple of
-- partition_ledgers any more.
alter table contract_data.settings alter column oldest_loader set default 9;
update contract_data.settings set oldest_loader = 9;
-- squawk-ignore ban-drop-constraint
alter table contract_data.settings drop constraint settings_retained_from_check;
-- squawk-ignore constraint-missing-not-valid
alter table contract_data.settings add constraint settings_retained_from_check check (retained_from > 0);
comment on column contract_data.settings.retained_from is
  'The first ledger of the history that is kept, or the one after a snapshot: nothing is loaded below it. Null: everything is kept. It never falls.';

-- Rows come from a COPY too, not only from entries.
alter table contract_data.retained_states alter column ingested_at set default now();

create table contract_data.snapshots (
  singleton boolean not null default true,
  ledger bigint not null,
  batch_id uuid not null,
  bucket_list_hash text not null,
  protocol bigint not null,
  rows bigint not null,
  rows_digest text not null,
  closed_at timestamptz,
  source text not null,
  object text not null,
  object_bytes bigint not null,
  archived boolean not null default false,
  started_at timestamptz not null default now(),
  completed_at timestamptz,
  constraint snapshots_singleton_pkey primary key (singleton),
  constraint snapshots_one_row_check check (singleton)
);
comment on table contract_data.snapshots is
  'At most one row: the state at a checkpoint that this database began with. Committed together with that state.';
comment on column contract_data.snapshots.singleton is 'Always true: a database begins once.';
comment on column contract_data.snapshots.ledger is 'The checkpoint: the state is that after this ledger, and windows begin at the next.';
comment on column contract_data.snapshots.batch_id is 'The staged object.';
comment on column contract_data.snapshots.bucket_list_hash is
  'Hex hash of the whole state of the network, in the header of the ledger: the source has proven the rows by it.';
comment on column contract_data.snapshots.protocol is 'The version of the network''s protocol in that ledger.';
comment on column contract_data.snapshots.rows is 'Contract data entries.';
comment on column contract_data.snapshots.rows_digest is 'Hex SHA-256 over the COPY BINARY tuples of the rows, in order.';
comment on column contract_data.snapshots.closed_at is 'When the ledger closed; null for a state without entries.';
comment on column contract_data.snapshots.source is 'Where the rows came from: flight or archive.';
comment on column contract_data.snapshots.object is 'The Parquet object, relative to the staging URL: in archive/ once archived, in staging/ before.';
comment on column contract_data.snapshots.object_bytes is 'Size of the object.';
comment on column contract_data.snapshots.archived is 'True once the object stands in archive/ under its final name.';
comment on column contract_data.snapshots.started_at is 'When the load began.';
comment on column contract_data.snapshots.completed_at is 'When its rows were folded, at the end of the load.';

create table contract_data.snapshot_tables (
  table_name text collate "C" not null,
  rows bigint not null,
  object_bytes bigint not null,
  rows_digest text not null,
  constraint snapshot_tables_pkey primary key (table_name),
  constraint snapshot_tables_table_name_check check (table_name in ('ttl', 'assets'))
);
comment on table contract_data.snapshot_tables is 'What else the snapshot was loaded with, beside its entries: one row per table that the source has.';
comment on column contract_data.snapshot_tables.table_name is 'ttl: times to live. assets: assets that any entry names.';
comment on column contract_data.snapshot_tables.rows is 'Rows of the table.';
comment on column contract_data.snapshot_tables.object_bytes is 'Size of its Parquet object, whose name is that of the snapshot with the table''s before the end.';
comment on column contract_data.snapshot_tables.rows_digest is 'Hex SHA-256 over the COPY BINARY tuples of the rows, in order.';

-- Unlogged: its rows never outlive their transaction.
create unlogged table contract_data.snapshot_ttls (like contract_data.ttl_changes including comments);
comment on table contract_data.snapshot_ttls is 'Times to live of the snapshot that is being loaded; empty outside of that transaction.';

create trigger retained_states_claimed before insert on contract_data.retained_states
  for each statement execute function contract_data.refuse_unclaimed_rows();
create trigger snapshot_ttls_claimed before insert on contract_data.snapshot_ttls
  for each statement execute function contract_data.refuse_unclaimed_rows();

-- A trigger cannot be created without its function. `migrate` replaces this body by sql/functions/check_snapshot.sql once the
-- migrations are done; until then no snapshot is loaded.
create function contract_data.check_snapshot() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'the functions of this schema are missing: run `ingestctl migrate`' using errcode = '55000';
end $$;
revoke all on function contract_data.check_snapshot() from public;

create constraint trigger snapshots_finished after insert on contract_data.snapshots
  deferrable initially deferred for each row execute function contract_data.check_snapshot();
