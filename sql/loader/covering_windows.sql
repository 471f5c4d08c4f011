-- $1, $2: a range of ledgers, inclusive. The completed windows that share a ledger with it.
select id, batch_id, start_ledger, end_ledger, entries_processed, archived
from contract_data.ingestion_progress
where status = 'completed' and end_ledger >= $1 and start_ledger <= $2
order by start_ledger
