-- $1: seconds that a window takes whatever its length. How fast the last drained windows were: seconds per ledger of the
-- slowest, beside those, and seconds of the quickest.
select
  max(greatest(ms / 1000.0 - $1::float8, 0) / ledgers)::float8 as slowest,
  (min(ms) / 1000.0)::float8 as quickest
from (
  select coalesce(drain_ms, 0) + coalesce(load_ms, 0) as ms, end_ledger - start_ledger + 1 as ledgers
  from contract_data.ingestion_progress
  where status = 'completed' and drain_ms is not null
  order by completed_at desc
  limit 8
) last_windows
