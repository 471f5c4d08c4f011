-- The current state: one row per ledger key. Deleted keys stay, as tombstones: without them an older window that is loaded
-- after a deletion would bring the key back.

create table contract_data.contract_assets (
  contract_id text collate "C" not null,
  asset_type text collate "C" not null,
  asset_code text collate "C",
  asset_issuer text collate "C",
  learnt_from text not null,
  learnt_at timestamptz not null default now(),
  retained boolean not null default false,
  constraint contract_assets_pkey primary key (contract_id),
  constraint contract_assets_learnt_from_check check (learnt_from in ('network', 'instance', 'derived'))
);

comment on table contract_data.contract_assets is 'Which asset a Stellar asset contract (SAC) stands for. Never changes once known: the contract id is a hash of it.';
comment on column contract_data.contract_assets.contract_id is 'Strkey (C…) of the contract.';
comment on column contract_data.contract_assets.asset_type is 'native, credit_alphanum4 or credit_alphanum12.';
comment on column contract_data.contract_assets.asset_code is 'The code; null for native.';
comment on column contract_data.contract_assets.asset_issuer is 'The issuer (G…); null for native.';
comment on column contract_data.contract_assets.learnt_from is 'network: native, known from the start. instance: an instance entry said so. derived: computed from CODE:ISSUER.';
comment on column contract_data.contract_assets.learnt_at is 'Since when it is known.';
comment on column contract_data.contract_assets.retained is
  'True once the instance row of the asset is below settings.condensed_to: a refresh keeps the asset.';

-- The columns of entries without batch_id and ingested_at. The asset columns have another meaning here: on a balance, the
-- asset of its contract.
create table contract_data.key_states (
  like contract_data.entries including comments,
  constraint key_states_pkey primary key (ledger_key_hash)
) with (fillfactor = 85);
-- squawk-ignore ban-drop-column
alter table contract_data.key_states drop column batch_id, drop column ingested_at;

create index key_states_contract on contract_data.key_states (contract_id);
create index key_states_rich_list on contract_data.key_states (asset_code, asset_issuer, balance desc)
  where asset_code is not null and not deleted;
create index key_states_rich_list_native on contract_data.key_states (balance desc)
  where asset_type = 'native' and not deleted;

comment on table contract_data.key_states is
  'The newest change of every ledger key, by (ledger_sequence, change_index), deletions included. Read current_states instead.';
comment on column contract_data.key_states.asset_code is 'On balances only: the code of the contract''s asset, once known; null for native.';
comment on column contract_data.key_states.asset_issuer is 'On balances only: the issuer of the contract''s asset, once known; null for native.';
comment on column contract_data.key_states.asset_type is 'On balances only: the type of the contract''s asset, once known.';
