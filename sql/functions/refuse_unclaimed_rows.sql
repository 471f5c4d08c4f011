-- The trigger of the tables that a loader copies into, once per statement: whoever does not own the table inserts rows only in a
-- transaction that has claimed or replaced a window, or, into those of the state below the first window, has claimed the snapshot.
-- Windows are written with a completed_at not before the transaction's begin, so that its index finds the row.
create or replace function contract_data.refuse_unclaimed_rows() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if pg_has_role((select relowner from pg_class where oid = tg_relid), 'usage') then
    return null;
  end if;
  if tg_table_name in ('retained_states', 'snapshot_ttls') then
    if not exists (select from contract_data.snapshots where xmin = pg_current_xact_id()::xid) then
      raise exception 'rows are inserted only by a transaction that has claimed the snapshot' using errcode = '55000';
    end if;
  elsif not exists (
    select from contract_data.ingestion_progress
    where status = 'completed' and completed_at >= now() and xmin = pg_current_xact_id()::xid)
  then
    raise exception 'rows are inserted only by a transaction that has claimed their window' using errcode = '55000';
  end if;
  return null;
end $$;
comment on function contract_data.refuse_unclaimed_rows() is 'Refuses rows of a transaction that has claimed neither their window nor the snapshot.';
