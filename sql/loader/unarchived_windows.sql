-- Completed windows whose object a crash left in staging/.
select id, batch_id, start_ledger, end_ledger, object
from contract_data.ingestion_progress
where status = 'completed' and not archived and object is not null
order by start_ledger
