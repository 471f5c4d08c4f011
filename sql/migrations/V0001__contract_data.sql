-- The tables of the loader: settings, the history (entries), and the record of what is loaded (ingestion_progress).
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
  oldest_loader integer not null default 1,
  created_at timestamptz not null default now(),
  constraint settings_singleton_pkey primary key (singleton),
  constraint settings_one_row_check check (singleton),
  constraint settings_partition_ledgers_check check (partition_ledgers between 1 and 4294967295)
);
comment on table contract_data.settings is 'One row: what this database is for. Written by the first `migrate`, checked by every loader.';
comment on column contract_data.settings.database_id is 'Tells this database from any other that shares a staging area.';
comment on column contract_data.settings.singleton is 'Always true: there is one row.';
comment on column contract_data.settings.created_at is 'When the first migrate wrote it.';
comment on column contract_data.settings.network is 'The network whose ledgers are loaded here; loaders of another are refused.';
comment on column contract_data.settings.partition_ledgers is 'Ledgers per partition of entries; no window crosses a multiple of it.';
comment on column contract_data.settings.schedule_start is 'The first ledger the schedule cares for; set by the first scheduled run.';
comment on column contract_data.settings.fingerprint_ledger is 'A ledger loaded early on: a source that tells another story of it serves another chain.';
comment on column contract_data.settings.fingerprint_digest is 'Digest of the rows of that ledger.';
comment on column contract_data.settings.oldest_loader is 'The oldest schema version whose loader still works with this schema.';

create table contract_data.entries (
  contract_id text collate "C" not null,
  contract_key_type text collate "C" not null,
  contract_durability text collate "C" not null,
  asset_code text collate "C",
  asset_issuer text collate "C",
  asset_type text collate "C",
  balance_holder text collate "C",
  balance numeric(39, 0),
  last_modified_ledger bigint not null,
  deleted boolean not null,
  ledger_sequence bigint not null,
  closed_at timestamptz not null,
  ledger_key_hash text collate "C" not null,
  key_xdr text collate "C",
  val_xdr text collate "C",
  contract_instance_type text collate "C",
  contract_instance_wasm_hash text collate "C",
  expiration_ledger_seq bigint,
  change_index integer not null,
  batch_id uuid not null,
  ingested_at timestamptz not null default now()
) partition by range (ledger_sequence);

create index entries_contract_ledger on contract_data.entries (contract_id, ledger_sequence desc);
create index entries_closed_at on contract_data.entries using brin (closed_at) with (pages_per_range = 32);
create index entries_ledger_sequence on contract_data.entries using brin (ledger_sequence) with (pages_per_range = 32);
-- a handful of rows per million: costs a COPY nothing, and spares the fold a scan in search of instances
create index entries_asset_instances on contract_data.entries (ledger_sequence) where asset_type is not null;

comment on table contract_data.entries is
  'The full history: one row per change of a contract data entry, in the order of the ledger: (ledger_sequence, change_index).';
comment on column contract_data.entries.contract_id is 'Strkey (C…) of the contract that owns the entry.';
comment on column contract_data.entries.contract_key_type is 'Type of the key, such as ScValTypeScvVec or ScValTypeScvLedgerKeyContractInstance.';
comment on column contract_data.entries.contract_durability is 'ContractDataDurabilityPersistent or ContractDataDurabilityTemporary.';
comment on column contract_data.entries.asset_code is 'Only on the instance entry of a Stellar asset contract (SAC); null for native. Balances: see current_states.';
comment on column contract_data.entries.asset_issuer is 'Only on the instance entry of a SAC; null for native.';
comment on column contract_data.entries.asset_type is 'Only on the instance entry of a SAC.';
comment on column contract_data.entries.balance_holder is 'Strkey of the holder, on balance entries of SAC shape.';
comment on column contract_data.entries.balance is 'Exact amount in the smallest unit (a SAC has 7 decimals), the whole range of an i128.';
comment on column contract_data.entries.last_modified_ledger is 'Ledger of the modification; on a deletion, of the modification before it.';
comment on column contract_data.entries.deleted is 'True where this change removed the entry.';
comment on column contract_data.entries.ledger_sequence is 'The ledger that holds this change.';
comment on column contract_data.entries.closed_at is 'When that ledger closed (UTC instant).';
comment on column contract_data.entries.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR: the identity of the entry.';
comment on column contract_data.entries.key_xdr is 'Base64 XDR of the SCVal key.';
comment on column contract_data.entries.val_xdr is 'Base64 XDR of the SCVal value.';
comment on column contract_data.entries.contract_instance_type is 'wasm or stellar_asset, on instance entries.';
comment on column contract_data.entries.contract_instance_wasm_hash is 'Hex hash of the contract code, on wasm instances.';
comment on column contract_data.entries.expiration_ledger_seq is 'The last ledger in which the entry lives unless extended; see liveness().';
comment on column contract_data.entries.change_index is 'Position of the change in its ledger, from 0, in stream order.';
comment on column contract_data.entries.batch_id is 'The staged object these rows came in: ingestion_progress.batch_id.';
comment on column contract_data.entries.ingested_at is 'When the load transaction began.';

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
  -- What makes double loading impossible, whoever writes: two completed windows never share a ledger.
  constraint ingestion_progress_no_overlap
    exclude using gist (int8range(start_ledger, end_ledger, '[]') with &&) where (status = 'completed')
);

create index ingestion_progress_start on contract_data.ingestion_progress (start_ledger, end_ledger) where status = 'completed';
create index ingestion_progress_completed_at on contract_data.ingestion_progress (completed_at desc);
create index ingestion_progress_batch on contract_data.ingestion_progress (batch_id);
create index ingestion_progress_unfolded on contract_data.ingestion_progress (start_ledger) where status = 'completed' and not folded;
create index ingestion_progress_unarchived on contract_data.ingestion_progress (start_ledger) where status = 'completed' and not archived;
create index ingestion_progress_open on contract_data.ingestion_progress (status) where status <> 'completed';

comment on table contract_data.ingestion_progress is
  'One row per window of ledgers. completed: its rows are in entries, exactly once, committed together with this row. processing: a hint that somebody works on it. failed: what went wrong.';
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
comment on column contract_data.ingestion_progress.expires_at is 'processing rows only: from then on the hint means nothing.';

-- Makes sure that the partition for a ledger is there. Created beside the parent and then attached: ATTACH lets readers
-- and writers pass, PARTITION OF would lock them out. The CHECK spares ATTACH its scan. SECURITY DEFINER, so that the
-- loader needs no right to create tables. Returns the partition's name.
create function contract_data.ensure_partition(ledger bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  size bigint;
  low bigint;
  high bigint;
  name text;
begin
  if ledger is null or ledger not between 0 and 4294967295 then
    raise exception 'ensure_partition: % is no ledger', ledger using errcode = '22023';
  end if;
  select partition_ledgers into strict size from contract_data.settings;
  low := ledger - ledger % size;
  high := low + size;
  name := 'entries_' || lpad(low::text, 10, '0');
  if exists (select from pg_class where relnamespace = 'contract_data'::regnamespace and relname = name) then
    return name;
  end if;
  -- One creator at a time; who waited finds the partition made, by a query: to_regclass would remember that it was not.
  perform pg_advisory_xact_lock(hashtextextended('contract_data.ensure_partition', 0));
  if not exists (select from pg_class where relnamespace = 'contract_data'::regnamespace and relname = name) then
    execute format(
      'create table contract_data.%I (like contract_data.entries including all, constraint %I check (ledger_sequence >= %s and ledger_sequence < %s))',
      name, name || '_ledgers', low, high);
    execute format(
      'alter table contract_data.entries attach partition contract_data.%I for values from (%s) to (%s)', name, low, high);
    execute format('alter table contract_data.%I drop constraint %I', name, name || '_ledgers');
  end if;
  return name;
end $$;
revoke all on function contract_data.ensure_partition(bigint) from public;
comment on function contract_data.ensure_partition(bigint) is 'Makes the partition of entries that a ledger falls in, if it is missing; returns its name.';

-- What only the owner may do after a load: BRIN summaries of the new pages (without them a query by time reads the whole
-- partition) and statistics where enough has changed. Partitioned parents are analysed by nobody else.
create function contract_data.tend_partition(ledger bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5min' as $$
declare
  part regclass := to_regclass('contract_data.' || contract_data.ensure_partition(ledger));
  index_name regclass;
  changed bigint;
  live bigint;
  analysed timestamptz;
begin
  -- One at a time: each locks its partition, then, for the parent's statistics, all of them.
  perform pg_advisory_xact_lock(hashtextextended('contract_data.tend_partition', 0));
  for index_name in
    select i.indexrelid::regclass from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_am a on a.oid = c.relam
    where i.indrelid = part and a.amname = 'brin'
  loop
    perform brin_summarize_new_values(index_name);
  end loop;
  select n_mod_since_analyze, n_live_tup, greatest(last_analyze, last_autoanalyze)
    into changed, live, analysed from pg_stat_all_tables where relid = part;
  if analysed is null or changed > 10000 + live / 10 then
    execute format('analyze %s', part);
  end if;
  if not exists (
    select from pg_stat_all_tables
    where relid = 'contract_data.entries'::regclass and last_analyze > now() - interval '1 day'
  ) then
    analyze contract_data.entries;
  end if;
end $$;
revoke all on function contract_data.tend_partition(bigint) from public;
comment on function contract_data.tend_partition(bigint) is 'BRIN summaries and statistics of the partition a ledger falls in, after a load.';
