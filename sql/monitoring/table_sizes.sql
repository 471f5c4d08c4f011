-- The size of each table with its indexes, summed over the partitions of entries.
select table_name, partitions, estimated_rows, pg_size_pretty(table_bytes) as rows_take, pg_size_pretty(index_bytes) as indexes_take, total
from contract_data.table_sizes
order by total_bytes desc;
