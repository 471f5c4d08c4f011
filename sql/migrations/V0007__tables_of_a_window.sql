-- Two more tables of a window, beside its rows of entries: changes of times to live, and the assets that its ledgers name. Both
-- are loaded in the transaction of the window. Windows that were loaded before, or from a source without them, have neither.
alter table contract_data.settings alter column oldest_loader set default 7;
alter table contract_data.settings add column fingerprint_hash text;
update contract_data.settings set oldest_loader = 7;
comment on column contract_data.settings.fingerprint_hash is
  'Hex hash of the header of that ledger, once a source has said it: no two chains share it, and no release derives it otherwise.';

create table contract_data.window_tables (
  window_id bigint not null,
  table_name text collate "C" not null,
  rows bigint not null,
  object_bytes bigint not null,
  rows_digest text not null,
  constraint window_tables_pkey primary key (window_id, table_name),
  constraint window_tables_window_fkey foreign key (window_id) references contract_data.ingestion_progress (id) on delete cascade,
  constraint window_tables_table_name_check check (table_name in ('ttl', 'assets'))
);
comment on table contract_data.window_tables is
  'What else a completed window was loaded with, beside its rows of entries: one row per table that the source has.';
comment on column contract_data.window_tables.window_id is 'The window: ingestion_progress.id.';
comment on column contract_data.window_tables.table_name is 'ttl: changes of times to live. assets: assets that the ledgers name.';
comment on column contract_data.window_tables.rows is 'Rows of the table in the window.';
comment on column contract_data.window_tables.object_bytes is
  'Size of its Parquet object. Its name follows from ingestion_progress.object: archive/contract_ttl/… for archive/contract_data/…';
comment on column contract_data.window_tables.rows_digest is 'Hex SHA-256 over the COPY BINARY tuples of the rows, in order.';

create table contract_data.ttl_changes (
  ledger_key_hash text collate "C" not null,
  change text collate "C" not null,
  live_until_ledger bigint,
  contract_durability text collate "C",
  ledger_sequence bigint not null,
  closed_at timestamptz not null,
  change_index integer not null,
  batch_id uuid not null
) partition by range (ledger_sequence);

create index ttl_changes_ledger_sequence on contract_data.ttl_changes using brin (ledger_sequence) with (pages_per_range = 32);
alter table contract_data.ttl_changes replica identity full;
create trigger ttl_changes_claimed before insert on contract_data.ttl_changes
  for each statement execute function contract_data.refuse_unclaimed_rows();

comment on table contract_data.ttl_changes is
  'The history of times to live: one row per change, of contract code too, in the order of the ledger. In partitions like entries.';
comment on column contract_data.ttl_changes.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR of the entry that lives.';
comment on column contract_data.ttl_changes.change is
  'created, extended or restored; removed: together with its entry; evicted: by the network, after its end.';
comment on column contract_data.ttl_changes.live_until_ledger is 'The last ledger in which the entry lives, after this change; null where it ended.';
comment on column contract_data.ttl_changes.contract_durability is 'Of an evicted entry: persistent ones can be restored.';
comment on column contract_data.ttl_changes.ledger_sequence is 'The ledger that holds this change.';
comment on column contract_data.ttl_changes.closed_at is 'When that ledger closed (UTC instant).';
comment on column contract_data.ttl_changes.change_index is 'Position of the change among those of its ledger, from 0, in stream order.';
comment on column contract_data.ttl_changes.batch_id is 'The staged objects of the window: ingestion_progress.batch_id.';

-- The newest change of each time to live, ended ones included: without them an older window that is loaded later would revive them.
create table contract_data.entry_ttls (
  ledger_key_hash text collate "C" not null,
  change text collate "C" not null,
  live_until_ledger bigint,
  contract_durability text collate "C",
  ledger_sequence bigint not null,
  change_index integer not null,
  constraint entry_ttls_pkey primary key (ledger_key_hash)
) with (fillfactor = 85);
comment on table contract_data.entry_ttls is
  'The newest change of every time to live, by (ledger_sequence, change_index). Read current_states instead: live_until_ledger, liveness.';
comment on column contract_data.entry_ttls.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR of the entry that lives.';
comment on column contract_data.entry_ttls.change is 'The newest change: created, extended, restored, removed or evicted.';
comment on column contract_data.entry_ttls.live_until_ledger is
  'The greatest of its newest ledger since the entry was created or restored there; null after removed and evicted.';
comment on column contract_data.entry_ttls.contract_durability is 'Of an evicted entry: persistent ones can be restored.';
comment on column contract_data.entry_ttls.ledger_sequence is 'The ledger of the newest change.';
comment on column contract_data.entry_ttls.change_index is 'Its position in that ledger.';

create table contract_data.retained_ttls (
  like contract_data.entry_ttls including comments,
  constraint retained_ttls_pkey primary key (ledger_key_hash)
);
comment on table contract_data.retained_ttls is
  'The newest change of every time to live below settings.condensed_to: the fold needs it once retention has dropped the partitions.';

-- Written under the lock of the fold, with what it folds.
create table contract_data.folded_ledgers (
  singleton boolean not null default true,
  ledgers int8multirange not null default '{}',
  with_ttls int8multirange not null default '{}',
  newest_ledger bigint generated always as (upper(ledgers) - 1) stored,
  ttls_whole_from bigint,
  constraint folded_ledgers_singleton_pkey primary key (singleton),
  constraint folded_ledgers_one_row_check check (singleton)
);
comment on table contract_data.folded_ledgers is 'One row: the ledgers that the current state follows from.';
comment on column contract_data.folded_ledgers.singleton is 'Always true: there is one row.';
comment on column contract_data.folded_ledgers.ledgers is 'Ledgers whose changes are in the current state.';
comment on column contract_data.folded_ledgers.with_ttls is 'Those of them whose changes of times to live are in it too.';
comment on column contract_data.folded_ledgers.newest_ledger is 'The newest of these ledgers: the current state is that after it.';
comment on column contract_data.folded_ledgers.ttls_whole_from is
  'From this ledger to the newest, every change of a time to live is known; null if that of the newest ledger is not.';
-- `migrate` fills it once the functions that keep it are in place.
insert into contract_data.folded_ledgers default values;

-- What windows name, until the next fold learns it. Assets are facts of the network, so it does not matter which window it was.
create table contract_data.named_assets (
  contract_id text collate "C" not null,
  asset_type text collate "C" not null,
  asset_code text collate "C",
  asset_issuer text collate "C"
);
create index named_assets_contract on contract_data.named_assets (contract_id);
alter table contract_data.named_assets replica identity full; -- rows go, and have no key
comment on table contract_data.named_assets is 'Assets named by loaded windows, each that of its contract, that the next fold learns.';
comment on column contract_data.named_assets.contract_id is 'Strkey (C…) of the asset''s contract.';
comment on column contract_data.named_assets.asset_type is 'native, credit_alphanum4 or credit_alphanum12.';
comment on column contract_data.named_assets.asset_code is 'The code; null for native.';
comment on column contract_data.named_assets.asset_issuer is 'The issuer (G…); null for native.';

-- A small table, and a wider set of words.
-- squawk-ignore ban-drop-constraint
alter table contract_data.contract_assets drop constraint contract_assets_learnt_from_check;
-- squawk-ignore constraint-missing-not-valid
alter table contract_data.contract_assets add constraint contract_assets_learnt_from_check
  check (learnt_from in ('network', 'instance', 'ledger', 'derived'));
comment on column contract_data.contract_assets.learnt_from is
  'network: native, known from the start. instance: an instance entry said so. ledger: another entry named it. derived: computed from CODE:ISSUER.';

-- Code and issuer of an asset go together. Without this the planner takes the holders of an asset for a few rows, and sorts all of
-- them for the first hundred.
create statistics contract_data.key_states_asset (dependencies)
  on asset_code, asset_issuer, asset_type from contract_data.key_states;
comment on statistics contract_data.key_states_asset is 'Code, issuer and type of an asset go together.';

-- Unlogged: its rows never outlive their transaction.
create unlogged table contract_data.replaced_ttls (
  ledger_key_hash text collate "C" not null,
  constraint replaced_ttls_pkey primary key (ledger_key_hash)
);
comment on table contract_data.replaced_ttls is 'The times to live of a window that is being replaced; empty outside of that transaction.';
comment on column contract_data.replaced_ttls.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR.';

-- It has one more parameter now.
-- squawk-ignore ban-drop-function
drop function if exists contract_data.get_top_holders(text, text, integer);
delete from contract_data.schema_functions where name = 'get_top_holders';
