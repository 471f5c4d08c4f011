-- $1, $2: the ledgers of a staged object, $3: its batch, $4: its name. What speaks for keeping it, and whether its ledgers are
-- loaded.
select
  coalesce(bool_or(status = 'processing' and expires_at > now()), false) as under_way,
  coalesce(bool_or(status = 'completed' and batch_id = $3 and not archived), false) as needed,
  coalesce(bool_or(status = 'failed' and object = $4), false) as kept,
  coalesce(bool_or(status = 'completed'), false) as covered
from contract_data.ingestion_progress
where end_ledger >= $1 and start_ledger <= $2
