create or replace view contract_data.current_states as
select
  contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type, balance_holder, balance,
  last_modified_ledger, ledger_sequence, change_index, closed_at, ledger_key_hash, key_xdr, val_xdr,
  contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq
from contract_data.key_states
where not deleted;
comment on view contract_data.current_states is
  'The state now: one row per entry that is not deleted. Balances carry the asset of their contract. Whether an entry is still live: liveness(expiration_ledger_seq, ledger).';
-- The columns' comments are those of key_states.
do $$
declare
  column_name name;
  comment text;
begin
  for column_name, comment in
    select attname, col_description('contract_data.key_states'::regclass, k.attnum)
    from pg_attribute k join pg_attribute v using (attname)
    where k.attrelid = 'contract_data.key_states'::regclass and v.attrelid = 'contract_data.current_states'::regclass
      and k.attnum > 0
  loop
    execute format('comment on column contract_data.current_states.%I is %L', column_name, comment);
  end loop;
end $$;
