-- Rebuilds the current state from the whole history, in one transaction: readers see the old state or the new. Windows below
-- condensed_to stay marked as folded, because retained_states and retained_ttls have them. An asset that a ledger has named stays: its
-- contract proves it.
create or replace function contract_data.refresh_current_states() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  low bigint;
  states bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select coalesce(condensed_to, 0) into low from contract_data.settings;
  delete from contract_data.key_states;
  delete from contract_data.entry_ttls;
  delete from contract_data.contract_assets a using contract_data.settings s
  where (a.learnt_from = 'instance' and not a.retained)
    or contract_data.asset_contract(s.network_id, a.asset_type, a.asset_code, a.asset_issuer) is distinct from a.contract_id;
  execute contract_data.fold_statement('select s.* from contract_data.retained_states s');
  execute contract_data.fold_ttls_statement('entry_ttls', 'select * from contract_data.retained_ttls');
  perform contract_data.note_folded(int8multirange(int8range(low, null)), b.ledgers, b.with_ttls)
  from contract_data.snapshot_ledgers() b;
  update contract_data.ingestion_progress set folded = false where status = 'completed' and folded and start_ledger >= low;
  while contract_data.fold_pending(500000) > 0 loop
  end loop;
  select count(*) into states from contract_data.current_states;
  return states;
end $$;
comment on function contract_data.refresh_current_states() is
  'Rebuilds key_states, entry_ttls and contract_assets from the history; returns the number of current states.';
