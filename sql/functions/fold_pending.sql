-- Folds completed windows that are not folded yet, lowest ledgers first: about max_rows rows' worth of them, of one
-- partition, so that a pass never reads more than it has to.
create or replace function contract_data.fold_pending(max_rows bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  ids bigint[];
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select array_agg(id) into ids from (
    select
      id,
      start_ledger / partition_ledgers as part,
      first_value(start_ledger / partition_ledgers) over (order by start_ledger) as first_part,
      sum(entries_processed) over (order by start_ledger) - entries_processed as rows_before
    from contract_data.ingestion_progress, contract_data.settings
    where status = 'completed' and not folded
  ) pending where part = first_part and rows_before < max_rows;
  return case when ids is null then 0 else contract_data.fold_windows(ids) end;
end $$;
revoke all on function contract_data.fold_pending(bigint) from public;
comment on function contract_data.fold_pending(bigint) is 'Folds completed windows that are not folded yet, about max_rows rows at once; returns how many windows.';
