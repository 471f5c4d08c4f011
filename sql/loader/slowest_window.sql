-- Seconds per ledger of the slowest of the last windows that were drained, less what a window takes whatever its length.
select max(greatest(coalesce(drain_ms, 0) + coalesce(load_ms, 0) - 200, 0) / 1000.0 / (end_ledger - start_ledger + 1))::float8 as seconds
from (
  select drain_ms, load_ms, start_ledger, end_ledger
  from contract_data.ingestion_progress
  where status = 'completed' and drain_ms is not null
  order by completed_at desc
  limit 8
) last_windows
