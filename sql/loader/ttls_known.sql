-- $1, $2: a range of ledgers, perhaps none. Whether every change of a time to live in it is loaded and, where a snapshot precedes it,
-- the times to live before it.
select int8multirange(int8range($1::bigint, greatest($2::bigint, $1::bigint - 1) + 1)) - coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}') = '{}'
  and (not exists (select from contract_data.snapshots)
    or exists (select from contract_data.snapshot_tables where table_name = 'ttl')) as known
from contract_data.ingestion_progress
join contract_data.window_tables on window_id = id and table_name = 'ttl'
where status = 'completed' and end_ledger >= $1 and start_ledger <= $2
