-- The sizes of the partitions of entries, newest first, to estimate the size of the next ones.
select
  c.relname as partition,
  greatest(c.reltuples, 0)::bigint as estimated_rows,
  pg_size_pretty(pg_table_size(c.oid)) as rows_take,
  pg_size_pretty(pg_indexes_size(c.oid)) as indexes_take,
  round(pg_total_relation_size(c.oid) / nullif(greatest(c.reltuples, 0), 0)::numeric) as bytes_per_row
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'contract_data.entries'::regclass
order by c.relname desc;
