-- What was loaded in each of the last 24 hours: windows, ledgers, rows, and durations.
select
  date_trunc('hour', completed_at) as hour,
  count(*) as windows,
  sum(end_ledger - start_ledger + 1) as ledgers,
  sum(entries_processed) as rows,
  round(avg(drain_ms)) as drain_ms,
  round(avg(load_ms)) as load_ms,
  max(load_ms) as slowest_load_ms
from contract_data.ingestion_progress
where status = 'completed' and completed_at > now() - interval '24 hours'
group by 1 order by 1 desc;
