-- Executed as a text, so that it is planned for this contract and this limit: the index gives the largest first.
create or replace function contract_data.get_token_holders(
  p_contract_id text, p_limit integer default 100, p_live_only boolean default false)
returns table (
  rank bigint, holder text, amount numeric, units numeric, liveness text, ledger_sequence bigint, closed_at timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  -- What one unit of the token has to be multiplied with: null if that is not known.
  unit constant numeric := (
    select ('1e-' || t.decimals)::numeric from contract_data.contract_tokens t where t.contract_id = p_contract_id);
begin
  return query execute $holders$
    select row_number() over (order by h.amount desc), h.holder, h.amount, h.amount * $4, h.liveness, h.ledger_sequence, h.closed_at
    from (select coalesce(s.token_holder, s.balance_holder) as holder, coalesce(s.token_amount, s.balance) as amount,
            s.liveness, s.ledger_sequence, s.closed_at
          from contract_data.current_states s
          where s.contract_id = $1 and coalesce(s.token_holder, s.balance_holder) is not null
            and coalesce(s.token_amount, s.balance) is not null and (s.liveness = 'live' or not $3)
          order by coalesce(s.token_amount, s.balance) desc limit $2) h
    order by 1
    $holders$ using p_contract_id, p_limit, p_live_only, unit;
end $$;
comment on function contract_data.get_token_holders(text, integer, boolean) is
  'Who holds most of a token now, largest first, also in archived balances unless p_live_only; amount in the smallest unit, units if the token says its decimals. Of a Stellar asset, what contracts hold.';
