-- Removes the rows that the caller's transaction is replacing: those of other batches in a completed window whose progress
-- row this very transaction has rewritten. SECURITY DEFINER, so that the loader can replace history and not delete it.
create or replace function contract_data.remove_replaced_rows(window_id bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  low bigint;
  high bigint;
  batch uuid;
  removed bigint;
begin
  select start_ledger, end_ledger, batch_id into low, high, batch from contract_data.ingestion_progress
  where id = window_id and status = 'completed' and xmin = pg_current_xact_id()::xid;
  if not found then
    raise exception 'remove_replaced_rows: window % is not one that this transaction replaces', window_id using errcode = '55000';
  end if;
  delete from contract_data.entries where ledger_sequence between low and high and batch_id <> batch;
  get diagnostics removed = row_count;
  return removed;
end $$;
revoke all on function contract_data.remove_replaced_rows(bigint) from public;
comment on function contract_data.remove_replaced_rows(bigint) is 'Removes the old rows of a window, in the transaction that replaces it.';
