-- Adds assets that were derived from CODE:ISSUER, one per place in the arrays, and fills the balances of their contracts. What is
-- known stays as it is.
create or replace function contract_data.add_assets(p_contracts text[], p_types text[], p_codes text[], p_issuers text[])
returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  wrong text;
begin
  select contract into wrong
  from unnest(p_contracts, p_types, p_codes, p_issuers) as a (contract, type, code, issuer), contract_data.settings s
  where contract_data.asset_contract(s.network_id, type, code, issuer) is distinct from contract
  limit 1;
  if found then
    raise exception 'add_assets: % is not the contract of its asset', wrong using errcode = '22023';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  insert into contract_data.contract_assets (contract_id, asset_type, asset_code, asset_issuer, learnt_from)
  select contract, type, code, issuer, 'derived'
  from unnest(p_contracts, p_types, p_codes, p_issuers) as a (contract, type, code, issuer)
  order by contract
  on conflict do nothing;
  return contract_data.spread_assets(p_contracts);
end $$;
revoke all on function contract_data.add_assets(text[], text[], text[], text[]) from public;
comment on function contract_data.add_assets(text[], text[], text[], text[]) is
  'Adds derived assets, and fills the balances of their contracts; returns how many balances changed.';
