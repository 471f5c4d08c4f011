-- A query, so that it is one row also where there is no snapshot.
create or replace function contract_data.snapshot_ledgers(out ledgers int8multirange, out with_ttls int8multirange)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(range_agg(int8range(b.ledger, b.ledger, '[]')), '{}'),
    coalesce(range_agg(int8range(b.ledger, b.ledger, '[]'))
      filter (where exists (select from contract_data.snapshot_tables where table_name = 'ttl')), '{}')
  from contract_data.snapshots b
$$;
comment on function contract_data.snapshot_ledgers() is
  'The checkpoint of the snapshot, as the ledgers that it makes part of the current state, and those with their times to live.';
