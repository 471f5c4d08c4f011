create or replace view contract_data.recent_activity as
select
  contract_id,
  count(*) as changes,
  count(distinct ledger_key_hash) as keys,
  count(*) filter (where deleted) as deletions,
  min(closed_at) as first_seen,
  max(closed_at) as last_seen
from contract_data.entries
where closed_at > now() - interval '24 hours'
group by contract_id;
comment on view contract_data.recent_activity is 'Per contract, the changes of the last 24 hours.';
comment on column contract_data.recent_activity.contract_id is 'Strkey of the contract.';
comment on column contract_data.recent_activity.changes is 'Changes of its entries in the last 24 hours.';
comment on column contract_data.recent_activity.keys is 'Entries that were changed.';
comment on column contract_data.recent_activity.deletions is 'Changes that removed an entry.';
comment on column contract_data.recent_activity.first_seen is 'Close time of the first of these changes.';
comment on column contract_data.recent_activity.last_seen is 'Close time of the last of them.';
