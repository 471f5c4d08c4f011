-- The transactions that hold the lock of loads, shared or alone, at this moment.
select coalesce(array_agg(distinct virtualtransaction), '{}') as loads
from pg_locks
where locktype = 'advisory' and granted and objsubid = 1
  and database = (select oid from pg_database where datname = current_database())
  and (classid::bigint << 32 | objid::bigint) = hashtextextended('contract_data.load', 0)
