-- Where the next rows will go: behind the last completed ledger, or where the schedule begins.
select coalesce(
  (select max(end_ledger) from contract_data.ingestion_progress where status = 'completed'), schedule_start) as ledger,
  partition_ledgers
from contract_data.settings
