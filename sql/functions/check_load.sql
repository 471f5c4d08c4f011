-- Refuses to record a loaded window with facts that no load has: they would mislead, or stop, whoever adds them up later.
create or replace function contract_data.check_load(
  p_batch uuid, p_start bigint, p_end bigint, p_rows bigint, p_source text, p_object text, p_object_bytes bigint, p_drain_ms bigint,
  p_last_closed_at timestamptz) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  perform contract_data.check_window(p_start, p_end);
  perform contract_data.check_object(p_object, p_batch, p_source = 'archive' and starts_with(p_object, 'archive/'));
  if p_batch is null or p_rows is null or p_rows not between 0 and 4294967295 or p_object_bytes not between 0 and 1099511627776
    or p_drain_ms not between 0 and 31536000000 or not isfinite(p_last_closed_at)
  then
    raise exception 'ledgers % to %: no load has % rows, % bytes, % ms and a last ledger of %',
      p_start, p_end, p_rows, p_object_bytes, p_drain_ms, p_last_closed_at using errcode = '22023';
  end if;
end $$;
comment on function contract_data.check_load(uuid, bigint, bigint, bigint, text, text, bigint, bigint, timestamptz) is
  'Refuses facts that no loaded window has.';
