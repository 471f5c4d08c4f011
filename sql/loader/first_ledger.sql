-- The first ledger of a window that is loaded, and how far retention has condensed the history; null where there is none.
select
  (select min(start_ledger) from contract_data.ingestion_progress
   where status = 'completed' and start_ledger >= coalesce(retained_from, 0)) as first_ledger,
  condensed_to
from contract_data.settings
