-- How often queries use each index, summed over the partitions of entries. An index without a scan since the last reset of
-- the statistics may be superfluous, unless it backs a constraint.
select
  coalesce(parent.relname, t.relname) as table_name,
  coalesce(parent_index.relname, x.relname) as index_name,
  sum(s.idx_scan) as scans,
  sum(s.idx_tup_read) as entries_read,
  pg_size_pretty(sum(pg_relation_size(x.oid))) as size
from pg_stat_all_indexes s
join pg_class x on x.oid = s.indexrelid
join pg_class t on t.oid = s.relid
left join pg_inherits i on i.inhrelid = t.oid
left join pg_class parent on parent.oid = i.inhparent
left join pg_inherits xi on xi.inhrelid = x.oid
left join pg_class parent_index on parent_index.oid = xi.inhparent
where s.schemaname = 'contract_data'
group by 1, 2
order by 1, 2;
