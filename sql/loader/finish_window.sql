-- The last statement of the load transaction before COMMIT: what is known now, no more hints about these ledgers, and no
-- failure of theirs.
with cleared as (
  delete from contract_data.ingestion_progress
  where status = 'processing' and start_ledger >= $3 and end_ledger <= $4
    or status = 'failed' and start_ledger <= $4 and end_ledger >= $3
)
update contract_data.ingestion_progress set completed_at = clock_timestamp(), load_ms = $2 where id = $1
