-- The last statement of the load transaction before COMMIT: what is known now, and no more hints about these ledgers.
with cleared as (
  delete from contract_data.ingestion_progress
  where status in ('processing', 'failed') and start_ledger >= $3 and end_ledger <= $4
)
update contract_data.ingestion_progress set completed_at = clock_timestamp(), load_ms = $2 where id = $1
