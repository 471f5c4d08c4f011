-- $1: how many ledgers to keep, $2: of how many days; null: no such limit. Both count back from the newest completed ledger and
-- the newest row, not from now: a loader that stands still loses nothing. What either keeps is kept. The boundary falls on a
-- partition's first ledger; 0 keeps everything. Null: no limit, or nothing is loaded.
select greatest(least(
    case when $1::bigint is not null then newest - $1 + 1 end,
    case when $2::integer is not null then coalesce((
      select min(start_ledger) from contract_data.ingestion_progress
      where status = 'completed' and last_closed_at >= newest_row - make_interval(days => $2)), 0) end
  ), 0) / partition_ledgers * partition_ledgers as boundary
from contract_data.settings, (
  select max(end_ledger) as newest, max(last_closed_at) as newest_row
  from contract_data.ingestion_progress where status = 'completed'
) loaded
where newest is not null and ($1::bigint is not null or $2::integer is not null)
