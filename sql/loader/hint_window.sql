-- A hint, for status and planners, that somebody works on the window. Expired ones are swept on the way.
with swept as (
  delete from contract_data.ingestion_progress
  where status = 'processing' and (expires_at < now() or (start_ledger = $2 and end_ledger = $3))
)
insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, expires_at)
values ($1, $2, $3, 'processing', now() + interval '15 minutes')
