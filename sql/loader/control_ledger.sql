-- $1, $2: a window that failed; $3, $4: the ledgers of the source. The loaded ledger next to the window that the source has,
-- from below if possible: whether the source still serves it tells a bad window from a bad source.
select ledger
from (
  (select end_ledger as ledger, 1 as place from contract_data.ingestion_progress
   where status = 'completed' and end_ledger between $3 and least($1::bigint - 1, $4) order by start_ledger desc limit 1)
  union all
  (select start_ledger, 2 from contract_data.ingestion_progress
   where status = 'completed' and start_ledger between greatest($2::bigint + 1, $3) and $4 order by start_ledger limit 1)
) loaded
order by place
limit 1
