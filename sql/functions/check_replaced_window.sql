-- The deferred trigger of a replaced window, at COMMIT or before: its rows are those that it declares, and no others. Without
-- it, the removal alone could be committed. It runs with the owner's rights: up to PostgreSQL 17 it would else have those of the
-- session, and from 18 on those of the function that queued it.
create or replace function contract_data.check_replaced_window() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  declared bigint := new.entries_processed;
  mine bigint;
  others bigint;
begin
  select count(*) filter (where batch_id = new.batch_id), count(*) filter (where batch_id <> new.batch_id) into mine, others
  from contract_data.entries where ledger_sequence between new.start_ledger and new.end_ledger;
  if mine = declared and others = 0 then
    select coalesce(sum(rows), 0) into declared from contract_data.window_tables where window_id = new.id and table_name = 'ttl';
    select count(*) filter (where batch_id = new.batch_id), count(*) filter (where batch_id <> new.batch_id) into mine, others
    from contract_data.ttl_changes where ledger_sequence between new.start_ledger and new.end_ledger;
  end if;
  if mine <> declared or others > 0 then
    raise exception 'ledgers % to %: the window is replaced by % rows, but % of its batch and % others are there',
      new.start_ledger, new.end_ledger, declared, mine, others using errcode = '55000';
  end if;
  return null;
end $$;
revoke all on function contract_data.check_replaced_window() from public;
comment on function contract_data.check_replaced_window() is 'Refuses to commit a replaced window whose rows are not there.';
