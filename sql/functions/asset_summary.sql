create or replace view contract_data.asset_summary as
select
  asset_code,
  asset_issuer,
  asset_type,
  contract_id,
  count(*) filter (where balance > 0) as holders,
  sum(balance) as total_balance,
  round(avg(balance) filter (where balance > 0)) as average_balance,
  max(balance) as largest_balance,
  max(ledger_sequence) as last_ledger,
  max(closed_at) as last_change_at,
  count(*) filter (where balance > 0 and liveness = 'live') as live_holders,
  sum(balance) filter (where liveness = 'live') as live_balance
from contract_data.current_states
where balance_holder is not null and asset_type is not null
group by asset_code, asset_issuer, asset_type, contract_id;
comment on view contract_data.asset_summary is
  'Per asset, from the current state, archived balances included: contracts that hold it, total, average and largest balance, in the smallest unit.';
comment on column contract_data.asset_summary.asset_code is 'The code; null for native.';
comment on column contract_data.asset_summary.asset_issuer is 'The issuer; null for native.';
comment on column contract_data.asset_summary.asset_type is 'native, credit_alphanum4 or credit_alphanum12.';
comment on column contract_data.asset_summary.contract_id is 'Strkey of the Stellar asset contract.';
comment on column contract_data.asset_summary.holders is 'Contracts with a balance above zero.';
comment on column contract_data.asset_summary.total_balance is 'Sum of their balances, in the smallest unit.';
comment on column contract_data.asset_summary.average_balance is 'Average over the holders, rounded to the smallest unit.';
comment on column contract_data.asset_summary.largest_balance is 'The largest balance, in the smallest unit.';
comment on column contract_data.asset_summary.last_ledger is 'The newest ledger that changed a balance.';
comment on column contract_data.asset_summary.last_change_at is 'When that ledger closed.';
comment on column contract_data.asset_summary.live_holders is 'Those of the holders whose balance lives; of the others it is archived or unknown.';
comment on column contract_data.asset_summary.live_balance is 'Sum of the balances that live, in the smallest unit.';
