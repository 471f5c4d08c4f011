-- Refuses what is no window: reversed, beyond the numbers of ledgers, or across a partition. Every function that writes
-- progress calls it first, so that one row never speaks for more than one partition.
create or replace function contract_data.check_window(low bigint, high bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  size bigint;
begin
  select partition_ledgers into strict size from contract_data.settings;
  if low is null or high is null or low < 0 or high > 4294967295 or low > high or low / size <> high / size then
    raise exception 'ledgers % to % are no window of one partition of % ledgers', low, high, size using errcode = '22023';
  end if;
end $$;
comment on function contract_data.check_window(bigint, bigint) is 'Refuses ledgers that are no window of one partition.';
