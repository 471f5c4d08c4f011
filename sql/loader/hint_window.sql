-- A hint, for status and planners, that a loader works on the window. Expired ones are swept on the way.
with expired as (
  select id from contract_data.ingestion_progress
  where status = 'processing' and expires_at < now()
  for update skip locked
), swept as (
  delete from contract_data.ingestion_progress where id in (select id from expired)
)
insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, expires_at, source)
values ($1, $2, $3, 'processing', now() + $4 * interval '1 second', $5)
