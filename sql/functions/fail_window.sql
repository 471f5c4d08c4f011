-- Records that a window failed. Earlier failures in these ledgers go, their attempts count on. Of a window that is loaded
-- meanwhile nothing is recorded: no load would clear it. Returns the objects that nothing refers to any more: those that earlier
-- failures kept, and this one if it is not recorded.
create or replace function contract_data.fail_window(p_start bigint, p_end bigint, p_error text, p_object text) returns text[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  earlier integer;
  superseded text[];
begin
  perform contract_data.check_window(p_start, p_end);
  if p_object is not null then
    perform contract_data.check_object(p_object, null, false);
  end if;
  with removed as (
    delete from contract_data.ingestion_progress
    where id in (
      select id from contract_data.ingestion_progress
      where status = 'failed' and start_ledger <= p_end and end_ledger >= p_start
      order by id for update)
    returning attempts, object
  )
  select max(attempts), coalesce(array_agg(object) filter (where object is not null), '{}') into earlier, superseded from removed;
  if int8multirange(int8range(p_start, p_end, '[]')) <@ (
    select coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}'::int8multirange)
    from contract_data.ingestion_progress
    where status = 'completed' and start_ledger <= p_end and end_ledger >= p_start)
  then
    return case when p_object is null then superseded else superseded || p_object end;
  end if;
  insert into contract_data.ingestion_progress (
    batch_id, start_ledger, end_ledger, status, completed_at, error_message, object, attempts)
  values (gen_random_uuid(), p_start, p_end, 'failed', now(), left(p_error, 100000), p_object, 1 + coalesce(earlier, 0));
  return superseded;
end $$;
revoke all on function contract_data.fail_window(bigint, bigint, text, text) from public;
comment on function contract_data.fail_window(bigint, bigint, text, text) is
  'Records that a window failed, in place of earlier failures in its ledgers; returns the objects that nothing refers to any more.';
