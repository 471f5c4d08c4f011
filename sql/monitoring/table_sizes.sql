-- How large each table is with its indexes, the partitions of entries added up.
select table_name, partitions, estimated_rows, pg_size_pretty(table_bytes) as rows_take, pg_size_pretty(index_bytes) as indexes_take, total
from contract_data.table_sizes
order by total_bytes desc;
