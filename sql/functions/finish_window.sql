-- The last statement of the load transaction before COMMIT, for the window that it has claimed or replaced: what is known now, no
-- more hints about these ledgers, and no failure of theirs.
create or replace function contract_data.finish_window(p_id bigint, p_load_ms bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  low bigint;
  high bigint;
begin
  update contract_data.ingestion_progress set completed_at = clock_timestamp(), load_ms = p_load_ms
  where id = p_id and status = 'completed' and xmin = pg_current_xact_id()::xid
  returning start_ledger, end_ledger into low, high;
  if not found then
    raise exception 'finish_window: window % is not one that this transaction loads', p_id using errcode = '55000';
  end if;
  delete from contract_data.ingestion_progress where id in (
    -- hints that others are at this moment taking back are none of ours to wait for
    select id from contract_data.ingestion_progress
    where status = 'processing' and start_ledger >= low and end_ledger <= high
    for update skip locked);
  delete from contract_data.ingestion_progress where id in (
    select id from contract_data.ingestion_progress
    where status = 'failed' and start_ledger <= high and end_ledger >= low
    order by id for update);
end $$;
revoke all on function contract_data.finish_window(bigint, bigint) from public;
comment on function contract_data.finish_window(bigint, bigint) is
  'Ends the load of the window that this transaction has claimed or replaced, and clears hints and failures of its ledgers.';
