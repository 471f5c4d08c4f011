-- $1, $2: a range of ledgers. The retained completed windows that share a ledger with it, with all that
-- verify compares.
select id, start_ledger, end_ledger, batch_id, entries_processed, rows_digest, object, object_bytes, folded
from contract_data.ingestion_progress, contract_data.settings
where status = 'completed' and end_ledger >= $1 and start_ledger <= $2 and start_ledger >= coalesce(retained_from, 0)
order by start_ledger
