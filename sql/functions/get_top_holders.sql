create or replace function contract_data.get_top_holders(p_asset_code text, p_asset_issuer text, p_limit integer default 100)
returns table (
  rank bigint, balance_holder text, balance numeric, amount numeric, last_modified_ledger bigint, closed_at timestamptz,
  contract_id text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_asset_issuer is null then
    if p_asset_code is not null and p_asset_code not in ('native', 'XLM') then
      raise exception 'asset % needs its issuer; only native (XLM) has none', p_asset_code using errcode = '22023';
    end if;
    return query
      select row_number() over (order by h.balance desc), h.*
      from (select s.balance_holder, s.balance, s.balance * 0.0000001, s.last_modified_ledger, s.closed_at, s.contract_id
            from contract_data.current_states s where s.asset_type = 'native'
            order by s.balance desc limit p_limit) h
      order by 1;
  else
    return query
      select row_number() over (order by h.balance desc), h.*
      from (select s.balance_holder, s.balance, s.balance * 0.0000001, s.last_modified_ledger, s.closed_at, s.contract_id
            from contract_data.current_states s where s.asset_code = p_asset_code and s.asset_issuer = p_asset_issuer
            order by s.balance desc limit p_limit) h
      order by 1;
  end if;
end $$;
comment on function contract_data.get_top_holders(text, text, integer) is
  'The contracts that hold most of an asset now, largest first; issuer null is the native asset. amount has 7 decimals.';
