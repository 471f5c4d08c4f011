-- The claim: the first statement of the load transaction. Whoever inserts first holds the ledgers; another that overlaps
-- waits here, under lock_timeout, until that transaction ends, and then gets no row. A plain INSERT would deadlock. Below the
-- retained ledgers there is nothing to claim: no row, and so no half of a partition that is going.
insert into contract_data.ingestion_progress (
  batch_id, start_ledger, end_ledger, entries_processed, completed_at, status, source, evidence, object, object_bytes,
  rows_digest, attempts, drain_ms, last_closed_at, started_at)
select $1, $2, $3, $4, clock_timestamp(), 'completed', $5, $6, $7, $8, $9, $10, $11::bigint, $12,
  now() - coalesce($11::bigint, 0) * interval '1 millisecond'
from contract_data.settings where $2 >= coalesce(retained_from, 0)
on conflict do nothing
returning id
