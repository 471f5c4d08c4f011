-- $1, $2: a range of ledgers, inclusive. The parts of it that are retained, and neither completed nor
-- failed a short while ago, in order.
select lower(free) as start_ledger, upper(free) - 1 as end_ledger
from (
  select unnest(
    int8multirange(int8range($1, $2, '[]')) - int8multirange(int8range(null, (select coalesce(retained_from, 0) from contract_data.settings)))
    - coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}'::int8multirange)
  ) as free
  from contract_data.ingestion_progress
  where end_ledger >= $1 and start_ledger <= $2
    and (status = 'completed'
      or status = 'failed'
        and completed_at + least(interval '1 minute' * 2 ^ least(attempts - 1, 20), interval '1 day') > now())
) parts
order by 1
