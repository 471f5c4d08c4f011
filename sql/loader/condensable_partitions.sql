-- Partitions below the retained ledgers whose last versions are not in retained_states yet, lowest first.
select low
from (
  select substr(c.relname, 9)::bigint as low
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = 'contract_data.entries'::regclass and c.relname ~ '^entries_[0-9]{10}$'
) partitions, contract_data.settings
where low >= coalesce(condensed_to, 0) and low + partition_ledgers <= retained_from
order by low
