-- How the database stands, for the metrics: what is loaded, how old the newest row is, what is missing, what failed.
select
  (select max(end_ledger) from contract_data.ingestion_progress where status = 'completed') as last_ledger,
  (select extract(epoch from now() - max(last_closed_at))::float8
     from contract_data.ingestion_progress where status = 'completed') as newest_row_age,
  (select count(*) from contract_data.ledger_gaps) as gaps,
  (select count(*) from contract_data.ingestion_progress where status = 'failed') as failed
