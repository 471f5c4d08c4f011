-- What is loaded and retained; of folds and of the archive, all that is left to do.
select
  count(*) filter (where retained) as windows,
  coalesce(sum(end_ledger - start_ledger + 1) filter (where retained), 0)::bigint as ledgers,
  coalesce(sum(entries_processed) filter (where retained), 0)::bigint as rows,
  min(start_ledger) filter (where retained) as first_ledger,
  max(end_ledger) as last_ledger,
  max(last_closed_at) as last_closed_at,
  count(*) filter (where not folded) as unfolded,
  count(*) filter (where not archived) as unarchived,
  (select ttls_whole_from from contract_data.folded_ledgers) as ttls_whole_from
from (
  select p.*, start_ledger >= coalesce(retained_from, 0) as retained
  from contract_data.ingestion_progress p, contract_data.settings
  where status = 'completed'
) windows
