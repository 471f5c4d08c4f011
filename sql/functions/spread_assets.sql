-- Fills the asset of the balances of the given contracts. The caller holds the fold's lock.
create or replace function contract_data.spread_assets(contract_ids text[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  changed bigint;
begin
  update contract_data.key_states k
  set asset_code = a.asset_code, asset_issuer = a.asset_issuer, asset_type = a.asset_type
  from contract_data.contract_assets a
  where a.contract_id = any (contract_ids) and k.contract_id = a.contract_id and k.balance_holder is not null
    and (k.asset_code, k.asset_issuer, k.asset_type) is distinct from (a.asset_code, a.asset_issuer, a.asset_type);
  get diagnostics changed = row_count;
  return changed;
end $$;
comment on function contract_data.spread_assets(text[]) is 'Fills asset_code, asset_issuer and asset_type on the balances of the given contracts.';
