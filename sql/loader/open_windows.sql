-- Hints that still mean something, and windows that failed.
select start_ledger, end_ledger, status, started_at, completed_at, attempts, error_message
from contract_data.ingestion_progress
where status = 'failed' or (status = 'processing' and expires_at > now())
order by start_ledger
