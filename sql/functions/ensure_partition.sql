-- Creates the partitions of a ledger, of entries and of ttl_changes, if they are missing: first beside the parent, then attached, because ATTACH lets readers and
-- writers pass and PARTITION OF would block them. The CHECK saves ATTACH a scan. SECURITY DEFINER, so that the loader needs no
-- right to create tables. Null for a ledger that is not retained: its partition is dropped, and not created again.
--
-- Whoever does not own the table makes partitions only within 100 million ledgers of what is loaded or scheduled, and only while
-- fewer than 1,000 partitions are empty: else a stolen password could fill the catalogue.
create or replace function contract_data.ensure_partition(ledger bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  size bigint;
  boundary bigint;
  low bigint;
  high bigint;
  parent text;
  name text;
  foreigner constant boolean := not pg_has_role(
    session_user, (select relowner from pg_class where oid = 'contract_data.entries'::regclass), 'usage');
begin
  if ledger is null or ledger not between 0 and 4294967295 then
    raise exception 'ensure_partition: % is no ledger', ledger using errcode = '22023';
  end if;
  select partition_ledgers, retained_from into strict size, boundary from contract_data.settings;
  if ledger < boundary then
    return null;
  end if;
  low := ledger - ledger % size;
  high := low + size;
  if contract_data.has_partitions(low) then
    return 'entries_' || lpad(low::text, 10, '0');
  end if;
  -- One creator at a time. A session that has waited looks again, with a query: to_regclass may answer from its cache.
  perform pg_advisory_xact_lock(hashtextextended('contract_data.ensure_partition', 0));
  -- retain_from commits under this lock: either it finds this partition, or this finds its boundary.
  if exists (select from contract_data.settings where ledger < retained_from) then
    return null;
  end if;
  if foreigner and not contract_data.has_partitions(low) then
    perform contract_data.check_partition(ledger);
  end if;
  foreach parent in array array['ttl_changes', 'entries'] loop
    name := parent || '_' || lpad(low::text, 10, '0');
    continue when exists (select from pg_class where relnamespace = 'contract_data'::regnamespace and relname = name);
    execute format(
      'create table contract_data.%I (like contract_data.%I including all, constraint %I check (ledger_sequence >= %s and ledger_sequence < %s))',
      name, parent, name || '_ledgers', low, high);
    -- Its rows have no key, and a publication lets rows go only where they are identified. Costs a load nothing.
    execute format('alter table contract_data.%I replica identity full', name);
    execute format(
      'alter table contract_data.%I attach partition contract_data.%I for values from (%s) to (%s)', parent, name, low, high);
    execute format('alter table contract_data.%I drop constraint %I', name, name || '_ledgers');
  end loop;
  return name;
end $$;
revoke all on function contract_data.ensure_partition(bigint) from public;
comment on function contract_data.ensure_partition(bigint) is
  'Creates the partitions of entries and ttl_changes for a ledger if they are missing; returns the name of the first, or null below settings.retained_from.';
