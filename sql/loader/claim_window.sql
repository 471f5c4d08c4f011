-- The claim: the first statement of the load transaction. Whoever inserts first holds the ledgers; another that overlaps
-- waits here, under lock_timeout, until that transaction ends, and then gets no row. A plain INSERT would deadlock.
insert into contract_data.ingestion_progress (
  batch_id, start_ledger, end_ledger, entries_processed, completed_at, status, source, evidence, object, object_bytes,
  rows_digest, attempts, drain_ms, last_closed_at, started_at)
values ($1, $2, $3, $4, clock_timestamp(), 'completed', $5, $6, $7, $8, $9, $10, $11::bigint, $12,
  now() - coalesce($11::bigint, 0) * interval '1 millisecond')
on conflict do nothing
returning id
