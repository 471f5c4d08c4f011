-- Records that a window failed; what was recorded of failures in these ledgers goes, its attempts count on. Of a window that is
-- loaded meanwhile nothing is recorded: no load would clear it.
with earlier as (
  delete from contract_data.ingestion_progress
  where status = 'failed' and start_ledger <= $3 and end_ledger >= $2
  returning attempts, object
), recorded as (
  insert into contract_data.ingestion_progress (
    batch_id, start_ledger, end_ledger, status, completed_at, error_message, object, attempts)
  select $1, $2, $3, 'failed', now(), $4, $5, 1 + coalesce((select max(attempts) from earlier), 0)
  where not int8multirange(int8range($2, $3, '[]')) <@ (
    select coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}'::int8multirange)
    from contract_data.ingestion_progress
    where status = 'completed' and start_ledger <= $3 and end_ledger >= $2)
  returning id
)
-- objects that earlier failures kept, and this one if it is not recorded: nothing refers to them any more
select coalesce(array_agg(object) filter (where object is not null), '{}') as superseded
from (
  select object from earlier
  union all
  select $5 where not exists (select from recorded)
) kept
