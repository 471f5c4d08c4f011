-- The first ledger with rows in the first retained window that has any, unless a fingerprint is stored already.
select min(e.ledger_sequence) as ledger
from contract_data.entries e
join (
  select start_ledger, end_ledger from contract_data.ingestion_progress
  where status = 'completed' and entries_processed > 0
    and (select fingerprint_ledger from contract_data.settings) is null
    and start_ledger >= (select coalesce(retained_from, 0) from contract_data.settings)
  order by completed_at limit 1
) w on e.ledger_sequence between w.start_ledger and w.end_ledger
having min(e.ledger_sequence) is not null
