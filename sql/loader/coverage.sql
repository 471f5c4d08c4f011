select
  count(*) as windows,
  coalesce(sum(end_ledger - start_ledger + 1), 0)::bigint as ledgers,
  coalesce(sum(entries_processed), 0)::bigint as rows,
  min(start_ledger) as first_ledger,
  max(end_ledger) as last_ledger,
  max(last_closed_at) as last_closed_at,
  count(*) filter (where not folded) as unfolded,
  count(*) filter (where not archived) as unarchived
from contract_data.ingestion_progress
where status = 'completed'
