-- $1: windows, by id. The other tables that they were loaded with.
select window_id, table_name::text as table_name, rows, object_bytes, rows_digest
from contract_data.window_tables
where window_id = any ($1)
order by window_id, table_name desc
