-- The newest ledger that is loaded, a snapshot's included; null if there is none.
select greatest(
  (select max(end_ledger) from contract_data.ingestion_progress where status = 'completed'),
  (select ledger from contract_data.snapshots)) as ledger
