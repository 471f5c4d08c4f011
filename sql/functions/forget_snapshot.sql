-- Takes back a snapshot that should not have been: the state below the first window, and its record. The windows stay, and the current
-- state is rebuilt from them. Not once retention has condensed windows into the same tables.
create or replace function contract_data.forget_snapshot() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  forgotten bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.load', 0));
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  update contract_data.settings s set retained_from = null from contract_data.snapshots b
  where s.condensed_to is null and s.retained_from = b.ledger + 1;
  if not found then
    raise exception 'there is no snapshot, or retention has gone on from it' using errcode = '55000';
  end if;
  delete from contract_data.snapshots returning ledger into forgotten;
  delete from contract_data.snapshot_tables;
  delete from contract_data.retained_states;
  delete from contract_data.retained_ttls;
  perform contract_data.note_folded(int8multirange(int8range(forgotten, forgotten, '[]')), '{}', '{}');
  return contract_data.refresh_current_states();
end $$;
comment on function contract_data.forget_snapshot() is
  'Takes back the snapshot of this database, and rebuilds the current state from the windows; returns the number of current states.';
