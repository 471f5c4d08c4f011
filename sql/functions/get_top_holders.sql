create or replace function contract_data.get_top_holders(
  p_asset_code text, p_asset_issuer text, p_limit integer default 100, p_live_only boolean default false)
returns table (
  rank bigint, balance_holder text, balance numeric, amount numeric, last_modified_ledger bigint, closed_at timestamptz,
  contract_id text, liveness text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  -- Each kind of asset has an index of its own.
  asset constant text := case when p_asset_issuer is null then $native$s.asset_type = 'native'$native$
    else 's.asset_code = $1 and s.asset_issuer = $2' end;
begin
  if p_asset_issuer is null and p_asset_code not in ('native', 'XLM') then
    raise exception 'asset % needs its issuer; only native (XLM) has none', p_asset_code using errcode = '22023';
  end if;
  return query execute format($holders$
    select row_number() over (order by h.balance desc), h.*
    from (select s.balance_holder, s.balance, s.balance * 0.0000001, s.last_modified_ledger, s.closed_at, s.contract_id, s.liveness
          from contract_data.current_states s where %s and (s.liveness = 'live' or not $4)
          order by s.balance desc limit $3) h
    order by 1
    $holders$, asset) using p_asset_code, p_asset_issuer, p_limit, p_live_only;
end $$;
comment on function contract_data.get_top_holders(text, text, integer, boolean) is
  'The contracts that hold most of an asset now, largest first, also in archived balances unless p_live_only; issuer null is the native asset. amount has 7 decimals.';
