-- The last statement of the load of a snapshot before COMMIT, for the transaction that has claimed it and copied its rows into
-- retained_states and snapshot_ttls: checks that they are those that it declared, folds them, and makes the ledger after it the first
-- that is loaded. Windows above may be there already: the fold does not depend on the order. A window at or below the checkpoint
-- may not, nor anything that retention has condensed: its changes would be counted twice, or lost.
--
-- The locks come in the order that holds everywhere: loads, the fold, rows. A load that holds its window already is waited for, and its
-- window is seen here; one that comes later reads retained_from in its claim. retain_from commits under the row lock of settings.
create or replace function contract_data.finish_snapshot() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set work_mem = '64MB' set jit = off as $$
declare
  base contract_data.snapshots;
  found_rows bigint;
  declared bigint;
  lowest bigint;
begin
  select * into base from contract_data.snapshots where xmin = pg_current_xact_id()::xid;
  if not found then
    raise exception 'finish_snapshot: this transaction loads no snapshot' using errcode = '55000';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('contract_data.load', 0));
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select min(start_ledger) into lowest from contract_data.ingestion_progress where status = 'completed';
  if lowest <= base.ledger then
    raise exception 'ledger % is loaded already: a snapshot of ledger % would count its changes twice', lowest, base.ledger
      using errcode = '55000';
  end if;
  update contract_data.settings
  set retained_from = base.ledger + 1, schedule_start = base.ledger + 1
  where retained_from is null;
  if not found then
    raise exception 'retention has dropped ledgers of this database: a snapshot would stand in for them' using errcode = '55000';
  end if;
  select count(*) into found_rows from contract_data.retained_states where batch_id = base.batch_id and ledger_sequence = base.ledger;
  if found_rows <> base.rows or exists (
    select from contract_data.retained_states where batch_id <> base.batch_id or ledger_sequence <> base.ledger or deleted)
  then
    raise exception 'the snapshot declares % rows, and has % of its ledger', base.rows, found_rows using errcode = '55000';
  end if;
  select rows into declared from contract_data.snapshot_tables where table_name = 'ttl';
  select count(*) into found_rows from contract_data.snapshot_ttls where batch_id = base.batch_id and ledger_sequence = base.ledger;
  if found_rows <> coalesce(declared, 0) or exists (
    select from contract_data.snapshot_ttls where batch_id <> base.batch_id or ledger_sequence <> base.ledger)
  then
    raise exception 'the snapshot declares % times to live, and has % of its ledger', coalesce(declared, 0), found_rows
      using errcode = '55000';
  end if;

  -- Assets are learnt first, so that the fold finds them: those that were named, and those of instances.
  insert into contract_data.named_assets (contract_id, asset_type, asset_code, asset_issuer)
  select r.contract_id, r.asset_type, r.asset_code, r.asset_issuer
  from contract_data.retained_states r, contract_data.settings s
  where r.asset_type is not null
    and contract_data.asset_contract(s.network_id, r.asset_type, r.asset_code, r.asset_issuer) = r.contract_id;
  perform contract_data.learn_assets('{}');
  execute contract_data.fold_statement('select s.* from contract_data.retained_states s');
  execute contract_data.fold_ttls_statement('retained_ttls', 'select * from contract_data.snapshot_ttls');
  execute contract_data.fold_ttls_statement('entry_ttls', 'select * from contract_data.retained_ttls');
  delete from contract_data.snapshot_ttls;
  perform contract_data.note_folded('{}', b.ledgers, b.with_ttls) from contract_data.snapshot_ledgers() b;
  update contract_data.snapshots set completed_at = clock_timestamp();
end $$;
revoke all on function contract_data.finish_snapshot() from public;
comment on function contract_data.finish_snapshot() is
  'Ends the load of the snapshot that this transaction has claimed: checks its rows and folds them.';
