-- Work left for the next run or maintenance: windows to fold, objects to archive.
select
  count(*) filter (where not folded) as not_folded,
  coalesce(sum(entries_processed) filter (where not folded), 0) as rows_not_folded,
  count(*) filter (where not archived) as not_archived,
  min(completed_at) filter (where not folded or not archived) as oldest
from contract_data.ingestion_progress
where status = 'completed' and (not folded or not archived);
