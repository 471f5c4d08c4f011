-- Replaces a completed window, in the transaction that loads its new rows: its row becomes that of another object, its old
-- rows go, of all its tables, and their keys are folded anew from the rest of the history, because the newest change of a key may have been among
-- them. If entries have no other row of a key, retained_states may have one; it is older than any row that is read of entries.
-- The caller loads the new rows, and folds the window. check_replaced_window refuses the COMMIT of a window whose rows are not
-- those that its row declares. False if the window has changed since it was planned, or is not retained.
--
-- This is the only way to remove rows of entries, short of retention. The locks come in the order that holds everywhere: loads,
-- the fold, rows. A fold that held its lock and waited for the row of this window could else not be waited for.
create or replace function contract_data.replace_window(
  p_id bigint, p_start bigint, p_end bigint, p_batch uuid, p_rows bigint, p_source text, p_evidence text, p_object text,
  p_object_bytes bigint, p_digest text, p_drain_ms bigint, p_last_closed_at timestamptz) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set work_mem = '64MB' set jit = off as $$
declare
  unfolded int8multirange;
  low bigint;
  ttls bigint;
begin
  perform contract_data.check_load(
    p_batch, p_start, p_end, p_rows, p_source, p_object, p_object_bytes, p_drain_ms, p_last_closed_at);
  perform pg_advisory_xact_lock(hashtextextended('contract_data.load', 0));
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  update contract_data.ingestion_progress
  set batch_id = p_batch, entries_processed = p_rows, source = p_source, evidence = p_evidence, object = p_object,
    object_bytes = p_object_bytes, rows_digest = p_digest, drain_ms = p_drain_ms, last_closed_at = p_last_closed_at,
    started_at = now(), completed_at = greatest(now(), clock_timestamp()), archived = starts_with(p_object, 'archive/'), folded = false, attempts = attempts + 1
  where id = p_id and start_ledger = p_start and end_ledger = p_end and status = 'completed' and batch_id <> p_batch
    and start_ledger >= (select coalesce(retained_from, 0) from contract_data.settings);
  if not found then
    return false;
  end if;

  delete from contract_data.window_tables where window_id = p_id;
  perform contract_data.note_folded(int8multirange(int8range(p_start, p_end, '[]')), '{}', '{}');
  insert into contract_data.replaced_keys
  select distinct on (ledger_key_hash) ledger_key_hash, contract_id from contract_data.entries
  where ledger_sequence between p_start and p_end
  order by ledger_key_hash;
  analyze contract_data.replaced_keys;
  delete from contract_data.entries where ledger_sequence between p_start and p_end;

  -- The window itself is not folded now, and so not read.
  select coalesce(range_agg(int8range(p.start_ledger, p.end_ledger, '[]')), '{}') into unfolded
  from contract_data.ingestion_progress p where p.status = 'completed' and not p.folded;
  select coalesce(condensed_to, 0) into low from contract_data.settings;
  delete from contract_data.key_states k using contract_data.replaced_keys r where k.ledger_key_hash = r.ledger_key_hash;
  -- $1: ledgers that are not folded, $2: the first ledger that is read of entries.
  execute contract_data.fold_statement($changes$
    with contracts as materialized (
      select distinct contract_id from contract_data.replaced_keys
    ), newest as materialized (
      select e.contract_id, e.ledger_key_hash, max(e.ledger_sequence * 2147483648 + e.change_index) as place
      from contracts c
      join contract_data.entries e on e.contract_id = c.contract_id
      join contract_data.replaced_keys r on r.ledger_key_hash = e.ledger_key_hash
      where not $1 @> e.ledger_sequence and e.ledger_sequence >= $2
      group by e.contract_id, e.ledger_key_hash
    )
    select e.*
    from newest
    join contract_data.entries e
      on e.contract_id = newest.contract_id -- by the index on (contract_id, ledger_sequence)
      and e.ledger_sequence = newest.place / 2147483648 and e.change_index = newest.place % 2147483648
    where e.ledger_sequence >= $2
    union all
    select s.*
    from contract_data.replaced_keys r
    join contract_data.retained_states s on s.ledger_key_hash = r.ledger_key_hash
    where not exists (select from newest where newest.ledger_key_hash = r.ledger_key_hash)
  $changes$) using unfolded, low;
  delete from contract_data.replaced_keys;

  -- Of the times to live, only those whose newest change was in the window: they are looked for in all of the history, because its
  -- changes have no index by key.
  with gone as (
    delete from contract_data.entry_ttls t
    using (select distinct ledger_key_hash from contract_data.ttl_changes where ledger_sequence between p_start and p_end) c
    where t.ledger_key_hash = c.ledger_key_hash and t.ledger_sequence between p_start and p_end
    returning t.ledger_key_hash
  )
  insert into contract_data.replaced_ttls select ledger_key_hash from gone;
  get diagnostics ttls = row_count;
  delete from contract_data.ttl_changes where ledger_sequence between p_start and p_end;
  if ttls > 0 then
    analyze contract_data.replaced_ttls;
    execute contract_data.fold_ttls_statement('entry_ttls', $changes$
      select ledger_key_hash, change, live_until_ledger, contract_durability, ledger_sequence, change_index
      from contract_data.ttl_changes join contract_data.replaced_ttls using (ledger_key_hash)
      where not $1 @> ledger_sequence and ledger_sequence >= $2
      union all
      select ledger_key_hash, change, live_until_ledger, contract_durability, ledger_sequence, change_index
      from contract_data.retained_ttls join contract_data.replaced_ttls using (ledger_key_hash)
    $changes$) using unfolded, low;
    delete from contract_data.replaced_ttls;
  end if;

  -- The rows of its ledger may differ from now on.
  update contract_data.settings set fingerprint_ledger = null, fingerprint_digest = null, fingerprint_hash = null
  where fingerprint_ledger between p_start and p_end;
  return true;
end $$;
revoke all on function contract_data.replace_window(
  bigint, bigint, bigint, uuid, bigint, text, text, text, bigint, text, bigint, timestamptz) from public;
comment on function contract_data.replace_window(
  bigint, bigint, bigint, uuid, bigint, text, text, text, bigint, text, bigint, timestamptz) is
  'Replaces a completed window by another batch: removes its rows, and folds their keys from the rest of the history.';
