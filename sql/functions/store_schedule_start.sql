-- Stores where the schedule begins, once: later calls change nothing. Returns what is stored.
create or replace function contract_data.store_schedule_start(p_ledger bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  stored bigint;
begin
  if p_ledger is null or p_ledger not between 0 and 4294967295 then
    raise exception 'store_schedule_start: % is no ledger', p_ledger using errcode = '22023';
  end if;
  update contract_data.settings set schedule_start = p_ledger where schedule_start is null;
  select schedule_start into stored from contract_data.settings;
  return stored;
end $$;
revoke all on function contract_data.store_schedule_start(bigint) from public;
comment on function contract_data.store_schedule_start(bigint) is 'Stores where the schedule begins, unless it is stored; returns what is.';
