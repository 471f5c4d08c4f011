-- After a load, with the owner's rights: BRIN summaries of the new pages (without them a query by time reads the whole
-- partition), and statistics if enough has changed. Autovacuum does not analyse partitioned parents.
create or replace function contract_data.tend_partition(ledger bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5min' as $$
declare
  part regclass := to_regclass('contract_data.' || contract_data.ensure_partition(ledger));
begin
  if part is null then
    return; -- not retained
  end if;
  -- One at a time: each locks its partition, then, for the parent's statistics, all of them.
  perform pg_advisory_xact_lock(hashtextextended('contract_data.tend_partition', 0));
  perform contract_data.tend_table(part);
  perform contract_data.tend_table(replace(part::text, 'entries_', 'ttl_changes_')::regclass);
  if not exists (
    select from pg_stat_all_tables
    where relid = 'contract_data.entries'::regclass and last_analyze > now() - interval '1 day'
  ) then
    analyze contract_data.entries;
  end if;
end $$;
revoke all on function contract_data.tend_partition(bigint) from public;
comment on function contract_data.tend_partition(bigint) is 'BRIN summaries and statistics of the partitions that a ledger falls in, after a load.';
