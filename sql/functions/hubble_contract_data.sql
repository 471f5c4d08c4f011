-- Base64 in one line: encode() breaks it.
create or replace view contract_data.hubble_contract_data as
select
  e.contract_id,
  e.contract_key_type,
  e.contract_durability,
  coalesce(e.asset_code, '') as asset_code,
  coalesce(e.asset_issuer, '') as asset_issuer,
  coalesce(e.asset_type, '') as asset_type,
  coalesce(e.balance_holder, '') as balance_holder,
  coalesce(e.balance::text, '') as balance,
  e.last_modified_ledger,
  e.ledger_entry_change::bigint as ledger_entry_change,
  e.ledger_sequence,
  e.ledger_key_hash,
  to_jsonb(e.key_xdr) as key,
  contract_data.scval(e.key_xdr) as key_decoded,
  to_jsonb(e.val_xdr) as val,
  contract_data.scval(e.val_xdr) as val_decoded,
  translate(encode(
    '\x00000000'::bytea || contract_data.strkey_xdr(e.contract_id) || decode(e.key_xdr, 'base64')
      || int4send((e.contract_durability = 'ContractDataDurabilityPersistent')::integer) || decode(e.val_xdr, 'base64'),
    'base64'), E'\n', '') as contract_data_xdr,
  translate(encode(
    '\x00000006'::bytea || contract_data.strkey_xdr(e.contract_id) || decode(e.key_xdr, 'base64')
      || int4send((e.contract_durability = 'ContractDataDurabilityPersistent')::integer),
    'base64'), E'\n', '') as ledger_key_hash_base_64,
  e.closed_at,
  e.deleted,
  e.batch_id::text as batch_id,
  date_trunc('hour', e.closed_at at time zone 'UTC') as batch_run_date,
  e.ingested_at as batch_insert_ts,
  e.change_index
from contract_data.entries e;
comment on view contract_data.hubble_contract_data is
  'The history under the names of the table contract_data of Hubble. Hubble has one row per entry and ledger, its last change; here is every change.';
comment on column contract_data.hubble_contract_data.contract_id is 'Strkey of the contract that owns the entry.';
comment on column contract_data.hubble_contract_data.contract_key_type is 'Type of the key, such as ScValTypeScvVec.';
comment on column contract_data.hubble_contract_data.contract_durability is 'ContractDataDurabilityPersistent or ContractDataDurabilityTemporary.';
comment on column contract_data.hubble_contract_data.asset_code is 'On the instance entry of a Stellar asset contract; else empty.';
comment on column contract_data.hubble_contract_data.asset_issuer is 'On the instance entry of a Stellar asset contract; else empty.';
comment on column contract_data.hubble_contract_data.asset_type is 'On the instance entry of a Stellar asset contract; else empty.';
comment on column contract_data.hubble_contract_data.balance_holder is 'The contract that holds a balance of SAC shape; else empty.';
comment on column contract_data.hubble_contract_data.balance is 'A text, as in Hubble: the balance in the smallest unit; else empty.';
comment on column contract_data.hubble_contract_data.last_modified_ledger is 'Ledger of the modification; on a deletion, of the modification before it.';
comment on column contract_data.hubble_contract_data.ledger_entry_change is '0 created, 1 updated, 2 removed, 4 restored; null where the source does not say.';
comment on column contract_data.hubble_contract_data.ledger_sequence is 'The ledger that holds the change.';
comment on column contract_data.hubble_contract_data.ledger_key_hash is 'Hex SHA-256 of the LedgerKey.';
comment on column contract_data.hubble_contract_data.key is 'Base64 XDR of the SCVal key, as a JSON string.';
comment on column contract_data.hubble_contract_data.key_decoded is 'The key as XDR-JSON: see scval.';
comment on column contract_data.hubble_contract_data.val is 'Base64 XDR of the SCVal value, as a JSON string.';
comment on column contract_data.hubble_contract_data.val_decoded is 'The value as XDR-JSON: see scval.';
comment on column contract_data.hubble_contract_data.contract_data_xdr is 'Base64 XDR of the ContractDataEntry, composed from contract, key, durability and value.';
comment on column contract_data.hubble_contract_data.ledger_key_hash_base_64 is 'Base64 XDR of the LedgerKey, which is no hash: ledger_key_hash is its SHA-256.';
comment on column contract_data.hubble_contract_data.closed_at is 'When the ledger closed. Filter by this: it has an index.';
comment on column contract_data.hubble_contract_data.deleted is 'True where the change removed the entry.';
comment on column contract_data.hubble_contract_data.batch_id is 'The window that loaded the row: ingestion_progress.batch_id.';
comment on column contract_data.hubble_contract_data.batch_run_date is 'The hour of closed_at in UTC: here no batch has a date of its own.';
comment on column contract_data.hubble_contract_data.batch_insert_ts is 'When the row was loaded.';
comment on column contract_data.hubble_contract_data.change_index is 'Not in Hubble: the position of the change in its ledger.';
