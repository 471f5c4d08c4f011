-- $1: seconds of a bin; $2: bins, back from now. For each bin in which a window was completed: how many bins ago it was (0 is
-- the one that ends now), windows, rows, ledgers.
select
  floor(extract(epoch from now() - completed_at) / $1::float8)::bigint as ago,
  count(*) as windows,
  sum(entries_processed)::bigint as rows,
  sum(end_ledger - start_ledger + 1)::bigint as ledgers
from contract_data.ingestion_progress
where status = 'completed' and completed_at > now() - $1::float8 * $2::float8 * interval '1 second' and completed_at <= now()
group by 1
order by 1
