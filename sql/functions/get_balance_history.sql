create or replace function contract_data.get_balance_history(p_contract_id text, p_limit integer default 100)
returns table (
  ledger_sequence bigint, change_index integer, closed_at timestamptz, balance_holder text, balance numeric, deleted boolean,
  asset_code text, asset_issuer text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.ledger_sequence, e.change_index, e.closed_at, e.balance_holder, e.balance, e.deleted, a.asset_code, a.asset_issuer
  from contract_data.entries e
  left join contract_data.contract_assets a on a.contract_id = e.contract_id
  where e.contract_id = p_contract_id and e.balance_holder is not null
  order by e.ledger_sequence desc, e.change_index desc
  limit p_limit
$$;
comment on function contract_data.get_balance_history(text, integer) is
  'The balance changes of one token contract, newest first, with its asset if known.';
