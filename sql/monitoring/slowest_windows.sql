-- The slowest windows of the last day, with drain and load times.
select start_ledger, end_ledger, entries_processed as rows, drain_ms, load_ms,
  round(entries_processed * 1000.0 / nullif(load_ms, 0)) as rows_per_second, attempts, completed_at
from contract_data.ingestion_progress
where status = 'completed' and completed_at > now() - interval '1 day'
order by coalesce(drain_ms, 0) + coalesce(load_ms, 0) desc
limit 20;
