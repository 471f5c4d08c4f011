-- The partitions of entries and ttl_changes that are retained, lowest first.
select c.relname::text as partition
from pg_inherits i join pg_class c on c.oid = i.inhrelid, contract_data.settings
where i.inhparent in ('contract_data.entries'::regclass, 'contract_data.ttl_changes'::regclass)
  and c.relname ~ '^(entries|ttl_changes)_[0-9]{10}$' and right(c.relname, 10)::bigint + partition_ledgers > coalesce(retained_from, 0)
order by right(c.relname, 10), 1
