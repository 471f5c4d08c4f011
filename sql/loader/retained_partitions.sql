-- The partitions of entries that are retained, lowest first.
select c.relname::text as partition
from pg_inherits i join pg_class c on c.oid = i.inhrelid, contract_data.settings
where i.inhparent = 'contract_data.entries'::regclass and c.relname ~ '^entries_[0-9]{10}$'
  and substr(c.relname, 9)::bigint >= coalesce(retained_from, 0)
order by 1
