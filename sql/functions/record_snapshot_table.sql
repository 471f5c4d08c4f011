-- Records another table of the snapshot that this transaction has claimed.
create or replace function contract_data.record_snapshot_table(p_table text, p_rows bigint, p_object_bytes bigint, p_digest text)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if p_rows is null or p_rows not between 0 and 2147483647 or p_object_bytes is null
    or p_object_bytes not between 0 and 1099511627776 or p_digest is null or p_digest !~ '^[0-9a-f]{64}$'
  then
    raise exception 'no table of a snapshot has % rows, % bytes and digest %', p_rows, p_object_bytes, p_digest using errcode = '22023';
  end if;
  insert into contract_data.snapshot_tables (table_name, rows, object_bytes, rows_digest)
  select p_table, p_rows, p_object_bytes, p_digest from contract_data.snapshots where xmin = pg_current_xact_id()::xid;
  if not found then
    raise exception 'record_snapshot_table: this transaction loads no snapshot' using errcode = '55000';
  end if;
end $$;
revoke all on function contract_data.record_snapshot_table(text, bigint, bigint, text) from public;
comment on function contract_data.record_snapshot_table(text, bigint, bigint, text) is
  'Records rows, object size and digest of another table of the snapshot that this transaction loads.';
