-- Windows that a loader began and neither finished nor gave back in time: hints that have expired.
select start_ledger, end_ledger, source is not distinct from 'staging' as staged
from contract_data.ingestion_progress
where status = 'processing' and expires_at <= now()
