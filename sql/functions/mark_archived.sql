-- Records where the object of a completed window is in the archive, if the window is still that of this batch. Returns whether
-- it is.
create or replace function contract_data.mark_archived(p_id bigint, p_batch uuid, p_object text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform contract_data.check_object(p_object, p_batch, true);
  update contract_data.ingestion_progress set archived = true, object = p_object
  where id = p_id and batch_id = p_batch and status = 'completed';
  return found;
end $$;
revoke all on function contract_data.mark_archived(bigint, uuid, text) from public;
comment on function contract_data.mark_archived(bigint, uuid, text) is 'Records that the object of a window is in the archive.';
