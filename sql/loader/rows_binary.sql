copy (
  select
    contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type, balance_holder, balance,
    last_modified_ledger, deleted, ledger_sequence, closed_at, ledger_key_hash, key_xdr, val_xdr, contract_instance_type,
    contract_instance_wasm_hash, expiration_ledger_seq, change_index
  from contract_data.entries
  where ledger_sequence between {start} and {end}
  order by ledger_sequence, change_index
) to stdout (format binary)
