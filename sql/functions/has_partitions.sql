-- Whether both tables of the history have the partition from this ledger on. A query, because to_regclass may answer from a cache.
create or replace function contract_data.has_partitions(low bigint) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select count(*) = 2 from pg_class
  where relnamespace = 'contract_data'::regnamespace
    and relname in ('entries_' || lpad(low::text, 10, '0'), 'ttl_changes_' || lpad(low::text, 10, '0'))
$$;
comment on function contract_data.has_partitions(bigint) is 'Whether entries and ttl_changes have the partition from a ledger on.';
