-- Statistics and BRIN summaries for the partitions that a fold is about to read.
select contract_data.tend_partition(start_ledger)
from (
  select min(start_ledger) as start_ledger
  from contract_data.ingestion_progress, contract_data.settings
  where status = 'completed' and not folded and entries_processed > 0
  group by start_ledger / partition_ledgers
) partitions
