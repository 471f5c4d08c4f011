-- Notes the ledgers that were folded before folded_ledgers was there, or while the functions that keep it were not. The caller holds
-- the fold's lock.
select contract_data.note_folded(
  '{(,)}', coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}') + (select ledgers from contract_data.snapshot_ledgers()),
  (select with_ttls from contract_data.snapshot_ledgers()))
from contract_data.ingestion_progress
where status = 'completed' and folded
