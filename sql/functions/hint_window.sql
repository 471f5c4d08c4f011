-- A hint, for status and planners, that a loader works on the window; for a day at most. Expired ones are swept on the way.
create or replace function contract_data.hint_window(
  p_hint uuid, p_start bigint, p_end bigint, p_seconds double precision, p_source text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform contract_data.check_window(p_start, p_end);
  delete from contract_data.ingestion_progress where id in (
    select id from contract_data.ingestion_progress
    where status = 'processing' and expires_at < now()
    for update skip locked);
  insert into contract_data.ingestion_progress (batch_id, start_ledger, end_ledger, status, expires_at, source)
  values (p_hint, p_start, p_end, 'processing', now() + least(p_seconds, 86400) * interval '1 second', p_source);
end $$;
revoke all on function contract_data.hint_window(uuid, bigint, bigint, double precision, text) from public;
comment on function contract_data.hint_window(uuid, bigint, bigint, double precision, text) is
  'Leaves the hint that a loader works on a window.';
