-- The row of a completed window becomes that of another object, in the transaction that replaces its rows.
update contract_data.ingestion_progress
set batch_id = $4, entries_processed = $5, source = $6, evidence = $7, object = $8, object_bytes = $9, rows_digest = $10,
  drain_ms = $11, last_closed_at = $12, started_at = now(), completed_at = clock_timestamp(), archived = false,
  folded = true, attempts = attempts + 1
where id = $1 and start_ledger = $2 and end_ledger = $3 and status = 'completed'
  and start_ledger >= (select coalesce(retained_from, 0) from contract_data.settings)
