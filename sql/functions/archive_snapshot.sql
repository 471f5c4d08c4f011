-- Records that the object of the snapshot is in the archive, if it is still that of this batch. Returns whether it is.
create or replace function contract_data.archive_snapshot(p_batch uuid, p_object text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform contract_data.check_snapshot_object(p_object, (select ledger from contract_data.snapshots), p_batch, true);
  update contract_data.snapshots set archived = true, object = p_object where batch_id = p_batch;
  return found;
end $$;
revoke all on function contract_data.archive_snapshot(uuid, text) from public;
comment on function contract_data.archive_snapshot(uuid, text) is 'Records that the object of the snapshot is in the archive.';
