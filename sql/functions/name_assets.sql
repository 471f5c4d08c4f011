-- Keeps the assets that a window names, one per place in the arrays, for the next fold to learn: those that are not known yet, and
-- whose contract is that of the asset. Only in a transaction that loads a window or the snapshot.
create or replace function contract_data.name_assets(p_contracts text[], p_types text[], p_codes text[], p_issuers text[])
returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  named bigint;
begin
  if not exists (
    select from contract_data.ingestion_progress
    where status = 'completed' and completed_at >= now() and xmin = pg_current_xact_id()::xid)
    and not exists (select from contract_data.snapshots where xmin = pg_current_xact_id()::xid)
  then
    raise exception 'assets are named only by a transaction that loads a window or the snapshot' using errcode = '55000';
  end if;
  -- The hash costs more than the look-ups, and most assets are known.
  with unknown as materialized (
    select distinct a.* from unnest(p_contracts, p_types, p_codes, p_issuers) as a (contract, type, code, issuer)
    where not exists (select from contract_data.contract_assets k where k.contract_id = a.contract)
      and not exists (select from contract_data.named_assets k where k.contract_id = a.contract)
  )
  insert into contract_data.named_assets (contract_id, asset_type, asset_code, asset_issuer)
  select contract, type, code, issuer from unknown, contract_data.settings s
  where contract_data.asset_contract(s.network_id, type, code, issuer) = contract;
  get diagnostics named = row_count;
  return named;
end $$;
revoke all on function contract_data.name_assets(text[], text[], text[], text[]) from public;
comment on function contract_data.name_assets(text[], text[], text[], text[]) is
  'Keeps assets that a window names for the next fold, if they are new and those of their contracts; returns how many.';
