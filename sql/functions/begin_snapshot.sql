-- The claim of a snapshot: the first statement of its load transaction. Of two at once, the second waits here, under lock_timeout,
-- until the first has ended, and then gets false. What could make the state untrue is checked again by finish_snapshot, under the
-- locks of loads and of the fold, which are not held during the COPY.
create or replace function contract_data.begin_snapshot(
  p_batch uuid, p_ledger bigint, p_hash text, p_protocol bigint, p_rows bigint, p_digest text, p_closed_at timestamptz,
  p_source text, p_object text, p_object_bytes bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if p_batch is null or p_ledger is null or p_ledger not between 1 and 4294967294 or p_hash is null or p_hash !~ '^[0-9a-f]{64}$'
    or p_protocol is null or p_protocol not between 0 and 4294967295 or p_rows is null or p_rows not between 0 and 2147483647
    or p_digest is null or p_digest !~ '^[0-9a-f]{64}$' or not isfinite(p_closed_at)
    or p_source is null or p_source not in ('flight', 'archive')
    or p_object_bytes is null or p_object_bytes not between 0 and 1099511627776
  then
    raise exception 'no snapshot has ledger %, hash %, protocol %, % rows with digest %, % bytes and source %',
      p_ledger, p_hash, p_protocol, p_rows, p_digest, p_object_bytes, p_source using errcode = '22023';
  end if;
  perform contract_data.check_snapshot_object(p_object, p_ledger, p_batch, p_source = 'archive' and starts_with(p_object, 'archive/'));
  insert into contract_data.snapshots (
    ledger, batch_id, bucket_list_hash, protocol, rows, rows_digest, closed_at, source, object, object_bytes, archived)
  values (
    p_ledger, p_batch, p_hash, p_protocol, p_rows, p_digest, p_closed_at, p_source, p_object, p_object_bytes,
    starts_with(p_object, 'archive/'))
  on conflict do nothing;
  return found;
end $$;
revoke all on function contract_data.begin_snapshot(
  uuid, bigint, text, bigint, bigint, text, timestamptz, text, text, bigint) from public;
comment on function contract_data.begin_snapshot(
  uuid, bigint, text, bigint, bigint, text, timestamptz, text, text, bigint) is
  'Claims the snapshot of this database for this transaction; false if it has one.';
