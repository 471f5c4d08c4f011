-- Records another table of the window that this transaction has claimed or replaced.
create or replace function contract_data.record_table(
  p_window bigint, p_table text, p_rows bigint, p_object_bytes bigint, p_digest text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if p_rows is null or p_rows not between 0 and 4294967295 or p_object_bytes is null
    or p_object_bytes not between 0 and 1099511627776 or p_digest is null or p_digest !~ '^[0-9a-f]{64}$'
  then
    raise exception 'window %: no table has % rows, % bytes and digest %', p_window, p_rows, p_object_bytes, p_digest
      using errcode = '22023';
  end if;
  insert into contract_data.window_tables (window_id, table_name, rows, object_bytes, rows_digest)
  select id, p_table, p_rows, p_object_bytes, p_digest from contract_data.ingestion_progress
  where id = p_window and status = 'completed' and xmin = pg_current_xact_id()::xid;
  if not found then
    raise exception 'record_table: window % is not one that this transaction loads', p_window using errcode = '55000';
  end if;
end $$;
revoke all on function contract_data.record_table(bigint, text, bigint, bigint, text) from public;
comment on function contract_data.record_table(bigint, text, bigint, bigint, text) is
  'Records rows, object size and digest of another table of the window that this transaction loads.';
