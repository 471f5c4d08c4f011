-- Learns assets from the instance rows in the given ledgers and from what loaded windows have named, and fills the balances that
-- were folded before their asset was known. What a row names is believed only if the contract's id is the hash of that asset. The
-- caller holds the fold's lock.
create or replace function contract_data.learn_assets(ledgers int8multirange) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  learnt text[];
begin
  with instances as (
    select distinct on (e.contract_id) e.contract_id, e.asset_type, e.asset_code, e.asset_issuer
    from contract_data.entries e, contract_data.settings s
    where e.ledger_sequence between lower(ledgers) and upper(ledgers) - 1 and ledgers @> e.ledger_sequence
      and e.asset_type is not null
      and contract_data.asset_contract(s.network_id, e.asset_type, e.asset_code, e.asset_issuer) = e.contract_id
    order by e.contract_id, e.ledger_sequence desc, e.change_index desc
  ), named as (
    delete from contract_data.named_assets returning contract_id, asset_type, asset_code, asset_issuer
  ), inserted as (
    insert into contract_data.contract_assets (contract_id, asset_type, asset_code, asset_issuer, learnt_from)
    select distinct on (contract_id) * from (
      select *, 'instance' from instances
      union all
      select *, 'ledger' from named
    ) as learnable (contract_id, asset_type, asset_code, asset_issuer, learnt_from)
    order by contract_id, learnt_from
    on conflict (contract_id) do nothing
    returning contract_id
  )
  select array_agg(contract_id) into learnt from inserted;
  if learnt is not null then
    perform contract_data.spread_assets(learnt);
  end if;
end $$;
comment on function contract_data.learn_assets(int8multirange) is
  'Learns contract_assets from the instance rows of the given ledgers whose contract is that of the asset, and from named_assets.';
