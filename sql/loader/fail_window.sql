-- Records that a window failed; what was recorded of failures in these ledgers goes, its attempts count on.
with earlier as (
  delete from contract_data.ingestion_progress
  where status = 'failed' and start_ledger <= $3 and end_ledger >= $2
  returning attempts, object
)
insert into contract_data.ingestion_progress (
  batch_id, start_ledger, end_ledger, status, completed_at, error_message, object, attempts)
select $1, $2, $3, 'failed', now(), $4, $5, 1 + coalesce((select max(attempts) from earlier), 0)
-- objects that earlier failures kept, and that this one makes superfluous
returning (select coalesce(array_agg(object), '{}') from earlier where object is not null) as superseded
