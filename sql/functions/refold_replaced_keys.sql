-- Folds the keys in the temporary table replaced_keys (ledger_key_hash, contract_id) anew, from the whole history: the newest
-- change of a key may have been in the replaced window. If entries have no row of a key, retained_states may have one; it is
-- older than any row that is read of entries. Called in the transaction that replaces the window.
create or replace function contract_data.refold_replaced_keys(start_ledger bigint, end_ledger bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64MB' set jit = off as $$
declare
  unfolded int8multirange;
  low bigint;
  states bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  perform contract_data.learn_assets(int8multirange(int8range(start_ledger, end_ledger, '[]')));
  select coalesce(range_agg(int8range(p.start_ledger, p.end_ledger, '[]')), '{}') into unfolded
  from contract_data.ingestion_progress p where p.status = 'completed' and not p.folded;
  select coalesce(condensed_to, 0) into low from contract_data.settings;

  delete from contract_data.key_states k using pg_temp.replaced_keys r where k.ledger_key_hash = r.ledger_key_hash;
  -- $1: ledgers that are not folded, $2: the first ledger that is read of entries.
  execute contract_data.fold_statement($changes$
    with contracts as materialized (
      select distinct contract_id from pg_temp.replaced_keys
    ), newest as materialized (
      select e.contract_id, e.ledger_key_hash, max(e.ledger_sequence * 2147483648 + e.change_index) as place
      from contracts c
      join contract_data.entries e on e.contract_id = c.contract_id
      join pg_temp.replaced_keys r on r.ledger_key_hash = e.ledger_key_hash
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
    from pg_temp.replaced_keys r
    join contract_data.retained_states s on s.ledger_key_hash = r.ledger_key_hash
    where not exists (select from newest where newest.ledger_key_hash = r.ledger_key_hash)
  $changes$) using unfolded, low;
  get diagnostics states = row_count;
  return states;
end $$;
comment on function contract_data.refold_replaced_keys(bigint, bigint) is 'Folds the keys of a replaced window anew, from the whole history.';
