create or replace view contract_data.token_balances as
select
  s.contract_id,
  coalesce(s.token_holder, s.balance_holder) as holder,
  coalesce(s.token_amount, s.balance) as amount,
  t.decimals,
  -- The product is exact; a quotient is rounded.
  coalesce(s.token_amount, s.balance) * ('1e-' || t.decimals)::numeric as units,
  t.symbol,
  s.liveness,
  s.ledger_sequence,
  s.closed_at
from contract_data.current_states s
left join contract_data.contract_tokens t on t.contract_id = s.contract_id
where coalesce(s.token_holder, s.balance_holder) is not null and coalesce(s.token_amount, s.balance) is not null;
comment on view contract_data.token_balances is
  'The balances of all tokens now, archived ones included: the entries ["Balance", address] of any contract.';
comment on column contract_data.token_balances.contract_id is 'Strkey of the token''s contract.';
comment on column contract_data.token_balances.holder is
  'Strkey of the holder: a contract (C…), an account (G…), or another address. Accounts hold a Stellar asset in trustlines, which are not here.';
comment on column contract_data.token_balances.amount is 'Exact, in the smallest unit.';
comment on column contract_data.token_balances.decimals is 'How many digits of the amount stand behind the point; null if that is not known.';
comment on column contract_data.token_balances.units is 'Exact, in units of the token; null if its decimals are not known.';
comment on column contract_data.token_balances.symbol is 'Of the token; null if it is not known.';
comment on column contract_data.token_balances.liveness is 'live, archived or unknown: see current_states.';
comment on column contract_data.token_balances.ledger_sequence is 'The ledger of the newest change of the balance.';
comment on column contract_data.token_balances.closed_at is 'When that ledger closed.';
