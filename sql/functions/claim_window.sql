-- The claim: the first statement of the load transaction. Whoever inserts first holds the ledgers; another that overlaps
-- waits here, under lock_timeout, until that transaction ends, and then gets null. A plain INSERT would deadlock. Below the
-- retained ledgers there is nothing to claim: null, and so no half of a partition that is going. Loads share their lock, which
-- replacements hold alone: no load sees a replacement half done. An object of the archive is archived.
create or replace function contract_data.claim_window(
  p_batch uuid, p_start bigint, p_end bigint, p_rows bigint, p_source text, p_evidence text, p_object text,
  p_object_bytes bigint, p_digest text, p_attempts integer, p_drain_ms bigint, p_last_closed_at timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  claimed bigint;
begin
  perform contract_data.check_load(
    p_batch, p_start, p_end, p_rows, p_source, p_object, p_object_bytes, p_drain_ms, p_last_closed_at);
  perform pg_advisory_xact_lock_shared(hashtextextended('contract_data.load', 0));
  insert into contract_data.ingestion_progress (
    batch_id, start_ledger, end_ledger, entries_processed, completed_at, status, source, evidence, object, object_bytes,
    rows_digest, attempts, drain_ms, last_closed_at, started_at, archived)
  select p_batch, p_start, p_end, p_rows, greatest(now(), clock_timestamp()), 'completed', p_source, p_evidence, p_object, p_object_bytes,
    p_digest, least(p_attempts, 1000000), p_drain_ms, p_last_closed_at, now() - coalesce(p_drain_ms, 0) * interval '1 millisecond',
    starts_with(p_object, 'archive/')
  from contract_data.settings where p_start >= coalesce(retained_from, 0)
  on conflict do nothing
  returning id into claimed;
  return claimed;
end $$;
revoke all on function contract_data.claim_window(
  uuid, bigint, bigint, bigint, text, text, text, bigint, text, integer, bigint, timestamptz) from public;
comment on function contract_data.claim_window(
  uuid, bigint, bigint, bigint, text, text, text, bigint, text, integer, bigint, timestamptz) is
  'Claims the ledgers of a window for this transaction, as completed; returns the id of its row, or null if some are taken or not retained.';
