-- $1, $2: a range of ledgers, inclusive; $3: bins of equal length that it is cut into, no more than its ledgers. For each bin
-- that any window touches: how many of its ledgers are completed, failed, under way.
with windows as (
  select status,
    greatest(start_ledger, $1) as start_ledger,
    least(end_ledger, $2) as end_ledger
  from contract_data.ingestion_progress
  where end_ledger >= $1 and start_ledger <= $2
    and (status <> 'processing' or expires_at > now())
), parts as (
  select status, bin,
    least(end_ledger, $1 + (bin + 1) * ($2 - $1 + 1) / $3 - 1)
      - greatest(start_ledger, $1 + bin * ($2 - $1 + 1) / $3) + 1 as ledgers
  from windows
  cross join lateral generate_series(
    ((start_ledger - $1 + 1) * $3 - 1) / ($2 - $1 + 1),
    ((end_ledger - $1 + 1) * $3 - 1) / ($2 - $1 + 1)
  ) bin
)
select bin,
  coalesce(sum(ledgers) filter (where status = 'completed'), 0)::bigint as completed,
  coalesce(sum(ledgers) filter (where status = 'failed'), 0)::bigint as failed,
  coalesce(sum(ledgers) filter (where status = 'processing'), 0)::bigint as under_way
from parts
group by bin
order by bin
