-- $1: a boundary. Tables of partitions below it, lowest first, and how far each has come: attached, pending (a detach was
-- begun) or detached. rows: as its windows say.
select low, partition::text as partition, state, bytes,
  (select coalesce(sum(case when parent = 'entries' then entries_processed else ttl.rows end), 0)::bigint
   from contract_data.ingestion_progress
   left join contract_data.window_tables ttl on ttl.window_id = id and ttl.table_name = 'ttl'
   where status = 'completed' and start_ledger >= low and end_ledger < low + partition_ledgers) as rows,
  parent
from (
  select right(c.relname, 10)::bigint as low, left(c.relname, -11) as parent, c.relname as partition, pg_total_relation_size(c.oid) as bytes,
    case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'pending' else 'attached' end as state
  from pg_class c
  left join pg_inherits i on i.inhrelid = c.oid
  where c.relnamespace = 'contract_data'::regnamespace and c.relkind = 'r' and c.relname ~ '^(entries|ttl_changes)_[0-9]{10}$'
) partitions, contract_data.settings
where low + partition_ledgers <= $1
order by state = 'attached', low, parent -- of one parent one detach may be pending at a time: what was begun comes first
