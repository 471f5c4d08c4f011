create or replace function contract_data.unhint_window(p_hint uuid) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  delete from contract_data.ingestion_progress where batch_id = p_hint and status = 'processing'
$$;
revoke all on function contract_data.unhint_window(uuid) from public;
comment on function contract_data.unhint_window(uuid) is 'Takes a hint back.';
