-- The last statement of the load transaction before COMMIT: what is known now, no more hints about these ledgers, and no
-- failure of theirs.
with hints as (
  -- hints that others are at this moment taking back are none of ours to wait for
  select id from contract_data.ingestion_progress
  where status = 'processing' and start_ledger >= $3 and end_ledger <= $4
  for update skip locked
), cleared as (
  delete from contract_data.ingestion_progress
  where id in (select id from hints)
    or status = 'failed' and start_ledger <= $4 and end_ledger >= $3
)
update contract_data.ingestion_progress set completed_at = clock_timestamp(), load_ms = $2 where id = $1
