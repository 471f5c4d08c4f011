-- Commits, with the caller's transaction, that ledgers below the boundary are not retained: a multiple of
-- partition_ledgers, at most that of the newest completed ledger. It never falls: a lower boundary changes nothing. Windows
-- that failed below it are forgotten. Returns the boundary that holds then.
--
-- What may run at that moment, and why nothing of it stays by halves:
-- * A load that claims its window after this commit is refused, by its claim or by the trigger.
-- * One that has claimed before may still commit its rows below the boundary. It has held the advisory lock of loads since
--   before its claim, so `maintain` waits, after this commit, until the current holders of that lock have ended, and
--   condenses then; later holders claim later. No load waits for it. A replacement holds the same lock.
-- * ensure_partition has either created its partition before this commit, so the drop finds it, or reads the boundary
--   again under the lock that is taken here.
create or replace function contract_data.retain_from(boundary bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  newest bigint;
  size bigint;
  current bigint;
  result bigint;
begin
  select partition_ledgers, retained_from into strict size, current from contract_data.settings;
  select max(end_ledger) into newest from contract_data.ingestion_progress where status = 'completed';
  -- What holds already may be the ledger after a snapshot.
  if boundary is null
    or boundary is distinct from current and (boundary % size <> 0 or newest is null or boundary > newest)
  then
    raise exception 'retain_from: % is no multiple of % up to the newest ledger, %', boundary, size, newest
      using errcode = '22023';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('contract_data.ensure_partition', 0));
  update contract_data.settings set retained_from = boundary
  where boundary > 0 and (retained_from is null or retained_from < boundary);
  select retained_from into result from contract_data.settings;
  delete from contract_data.ingestion_progress where status = 'failed' and end_ledger < result;
  return result;
end $$;
comment on function contract_data.retain_from(bigint) is 'Sets settings.retained_from, if it rises by that; returns what holds.';
