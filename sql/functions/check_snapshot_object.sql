-- Refuses an object that a snapshot cannot have: loaders move and remove objects by the names that they read in snapshots.
create or replace function contract_data.check_snapshot_object(object text, ledger bigint, batch uuid, archived boolean) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  network text;
  wanted text;
begin
  select s.network into strict network from contract_data.settings s;
  if archived then
    wanted := format('archive/snapshots/v1/network=%s/%s.parquet', network, ledger);
  else
    wanted := format('staging/network=%s/snapshot-%s-%s.parquet', network, ledger, batch);
  end if;
  if object is distinct from wanted then
    raise exception 'the snapshot of ledger % cannot have the object %', ledger, object using errcode = '22023';
  end if;
end $$;
comment on function contract_data.check_snapshot_object(text, bigint, uuid, boolean) is 'Refuses an object that a snapshot cannot have.';
