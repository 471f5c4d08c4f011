-- The trigger of ingestion_progress: no window below retained_from is recorded as loaded, whatever writes, also a loader of an
-- earlier release. It reads the boundary when the row is written: see retain_from for what may run beside it.
create or replace function contract_data.refuse_unretained_window() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  boundary bigint;
begin
  select retained_from into boundary from contract_data.settings;
  if new.start_ledger < boundary then
    raise exception 'ledgers % to % are not retained: this database keeps ledgers from % on',
      new.start_ledger, new.end_ledger, boundary using errcode = '55000';
  end if;
  return new;
end $$;
comment on function contract_data.refuse_unretained_window() is 'Refuses completed windows below settings.retained_from.';
