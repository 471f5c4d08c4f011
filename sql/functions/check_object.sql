-- Refuses an object that a window cannot have: loaders move and remove objects by the names that they read in
-- ingestion_progress. The object of a failed window may be that of another table. An object is in the archive, where it stays, or staged: then, if its window is loaded, it is of its batch.
create or replace function contract_data.check_object(object text, batch uuid, archived boolean) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  network text;
  pattern text;
begin
  select s.network into strict network from contract_data.settings s;
  if archived then
    pattern := '^archive/[A-Za-z0-9_=/-]+/[0-9]+-[0-9]+[0-9a-f-]*\.parquet$';
  else
    -- The name of a network has no character that means something here.
    pattern := '^staging/network=' || network || '/[0-9]+-[0-9]+-' || coalesce(batch::text, '[0-9a-f-]{36}(\.(ttl|assets))?') || '\.parquet$';
  end if;
  if object is null or object !~ pattern then
    raise exception 'this window cannot have the object %', object using errcode = '22023';
  end if;
end $$;
comment on function contract_data.check_object(text, uuid, boolean) is 'Refuses an object that a window cannot have.';
