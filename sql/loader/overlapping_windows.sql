-- Completed windows that share ledgers: the constraint forbids them, verify does not take its word for it.
select a.start_ledger, a.end_ledger, b.start_ledger as other_start, b.end_ledger as other_end
from contract_data.ingestion_progress a
join contract_data.ingestion_progress b
  on a.id < b.id and b.status = 'completed' and b.start_ledger <= a.end_ledger and b.end_ledger >= a.start_ledger
where a.status = 'completed'
order by 1
limit 100
