select start_ledger, end_ledger, entries_processed, completed_at, source, object_bytes, drain_ms, load_ms
from contract_data.ingestion_progress
where status = 'completed'
order by completed_at desc, id desc
limit 10
