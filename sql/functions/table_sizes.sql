create or replace view contract_data.table_sizes as
select
  coalesce(parent.relname, c.relname)::text as table_name,
  count(*) filter (where c.relkind = 'r') as partitions,
  sum(greatest(c.reltuples, 0))::bigint as estimated_rows,
  sum(pg_table_size(c.oid))::bigint as table_bytes,
  sum(pg_indexes_size(c.oid))::bigint as index_bytes,
  sum(pg_total_relation_size(c.oid))::bigint as total_bytes,
  pg_size_pretty(sum(pg_total_relation_size(c.oid))) as total
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits i on i.inhrelid = c.oid
left join pg_class parent on parent.oid = i.inhparent
where n.nspname = 'contract_data' and c.relkind = 'r'
group by 1;
comment on view contract_data.table_sizes is 'Size of each table with its indexes, the partitions of entries added up.';
comment on column contract_data.table_sizes.table_name is 'The table; partitions of entries are added up under it.';
comment on column contract_data.table_sizes.partitions is 'Physical tables behind it.';
comment on column contract_data.table_sizes.estimated_rows is 'Rows, as the planner estimates them.';
comment on column contract_data.table_sizes.table_bytes is 'Bytes of rows, with out-of-line values.';
comment on column contract_data.table_sizes.index_bytes is 'Bytes of indexes.';
comment on column contract_data.table_sizes.total_bytes is 'Bytes in all.';
comment on column contract_data.table_sizes.total is 'The same, for people.';
