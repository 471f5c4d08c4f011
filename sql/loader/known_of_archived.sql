-- $1, $2: the ledgers of an archived object, $3: its batch, $4: the name of the object of data of the same window, $5: its table.
-- Whether it is of a completed window, or the next object of that window will take its name; and whether completed windows have all
-- its ledgers.
select
  coalesce(bool_or(
    (object = $4 or batch_id = $3 or (start_ledger = $1 and end_ledger = $2 and not archived))
    and ($5 = 'data' or exists (select from contract_data.window_tables where window_id = id and table_name = $5))), false) as is_window,
  int8multirange(int8range($1, $2, '[]')) <@ coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}'::int8multirange)
    as covered
from contract_data.ingestion_progress
where status = 'completed' and end_ledger >= $1 and start_ledger <= $2
