-- $1: a boundary. Tables of partitions below it, lowest first, and how far each has come: attached, pending (a detach was
-- begun) or detached. rows: as its windows say.
select low, partition::text as partition, state, bytes,
  (select coalesce(sum(entries_processed), 0)::bigint from contract_data.ingestion_progress
   where status = 'completed' and start_ledger >= low and end_ledger < low + partition_ledgers) as rows
from (
  select substr(c.relname, 9)::bigint as low, c.relname as partition, pg_total_relation_size(c.oid) as bytes,
    case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'pending' else 'attached' end as state
  from pg_class c
  left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = 'contract_data.entries'::regclass
  where c.relnamespace = 'contract_data'::regnamespace and c.relkind = 'r' and c.relname ~ '^entries_[0-9]{10}$'
) partitions, contract_data.settings
where low + partition_ledgers <= $1
order by state = 'attached', low -- of one parent one detach may be pending at a time: what was begun comes first
