-- $1, $2: a window that failed; $3, $4: the ledgers of the source. A loaded ledger with rows next to the window that the source
-- has, from below if possible: whether the source still serves it tells a bad window from a bad source.
select rows.ledger
from (
  (select start_ledger, end_ledger, 1 as place from contract_data.ingestion_progress
   where status = 'completed' and entries_processed > 0 and start_ledger >= $3 and end_ledger <= least($1::bigint - 1, $4)
   order by start_ledger desc limit 1)
  union all
  (select start_ledger, end_ledger, 2 from contract_data.ingestion_progress
   where status = 'completed' and entries_processed > 0 and start_ledger >= greatest($2::bigint + 1, $3) and end_ledger <= $4
   order by start_ledger limit 1)
) loaded
cross join lateral (
  select max(e.ledger_sequence) as ledger from contract_data.entries e
  where e.ledger_sequence between loaded.start_ledger and loaded.end_ledger
) rows
where rows.ledger is not null
order by loaded.place
limit 1
