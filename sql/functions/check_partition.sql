-- Refuses a new partition that is far from what is loaded or scheduled, or that is one empty partition too many.
create or replace function contract_data.check_partition(ledger bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  reach constant bigint := 100000000;
  most constant bigint := 1000;
  low bigint;
  high bigint;
begin
  select least(min(p.start_ledger), min(s.schedule_start)), greatest(max(p.end_ledger), max(s.schedule_start)) into low, high
  from contract_data.settings s left join contract_data.ingestion_progress p on p.status = 'completed';
  if ledger < low - reach or ledger > high + reach then
    raise exception 'ledger % is further than % ledgers from what is loaded or scheduled, % to %: the owner may make its partition',
      ledger, reach, low, high using errcode = '55000';
  end if;
  if (select count(*) from pg_inherits
      where inhparent = 'contract_data.entries'::regclass and pg_relation_size(inhrelid) = 0) >= most
  then
    raise exception '% partitions of entries are empty already: the owner may make more', most using errcode = '55000';
  end if;
end $$;
comment on function contract_data.check_partition(bigint) is
  'Refuses a partition far from what is loaded, and more than 1,000 empty ones.';
