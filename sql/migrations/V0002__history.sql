-- The history: entries, in partitions that retention may drop, and retained_states, which keeps the last version of each
-- key of dropped partitions. For the fold, the history is retained_states, then entries from settings.condensed_to on.

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
-- A few rows per million: costs a COPY nothing, and saves the fold a scan for instances.
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

-- Whole rows of entries: the same columns in the same order, also after later migrations.
create table contract_data.retained_states (
  like contract_data.entries including comments,
  constraint retained_states_pkey primary key (ledger_key_hash)
);

comment on table contract_data.retained_states is
  'The last change of every ledger key below settings.condensed_to, deletions included: the fold needs it once retention has dropped the partitions. Read current_states instead.';
