-- Completed windows whose object a crash left in staging/.
select id, batch_id, start_ledger, end_ledger, object,
  array(select table_name::text from contract_data.window_tables where window_id = id) as sides
from contract_data.ingestion_progress
where status = 'completed' and not archived and object is not null
order by start_ledger
