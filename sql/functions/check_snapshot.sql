-- The deferred trigger of a snapshot, at COMMIT or before: it is finished. Without it, a claim alone could be committed, and the
-- database would call its state complete.
create or replace function contract_data.check_snapshot() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from contract_data.snapshots where batch_id = new.batch_id and completed_at is not null) then
    raise exception 'the snapshot of ledger % is not finished', new.ledger using errcode = '55000';
  end if;
  return null;
end $$;
revoke all on function contract_data.check_snapshot() from public;
comment on function contract_data.check_snapshot() is 'Refuses to commit a snapshot that is not finished.';
