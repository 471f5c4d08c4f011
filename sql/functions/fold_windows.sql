-- Folds the given windows into contract_assets, entry_ttls and key_states: fold_statement over the newest change of each key in them.
-- Everything that writes these tables takes the same lock first, and writes in key order. Exactly the given windows are marked
-- as folded. Returns their number. SECURITY DEFINER, as all that changes the state: the loader itself has no right to.
create or replace function contract_data.fold_windows(window_ids bigint[]) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
-- The join below must be a hash join, whatever the planner knows of rows that were just copied: a merge join would sort all
-- values of the windows, a nested loop without statistics would not end.
set work_mem = '64MB' set jit = off set enable_mergejoin = off set enable_nestloop = off
as $$
declare
  ledgers int8multirange;
  all_ledgers int8multirange;
  with_ttls int8multirange;
  folded_windows bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select
    range_agg(int8range(start_ledger, end_ledger, '[]')) filter (where entries_processed > 0),
    coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}'),
    coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')) filter (where ttl.rows is not null), '{}')
  into ledgers, all_ledgers, with_ttls
  from contract_data.ingestion_progress
  left join contract_data.window_tables ttl on ttl.window_id = id and ttl.table_name = 'ttl'
  where id = any (window_ids) and status = 'completed' and not folded;

  perform contract_data.learn_assets(coalesce(ledgers, '{}'));
  if not isempty(with_ttls) then
    execute contract_data.fold_ttls_statement('entry_ttls', $changes$
      select * from contract_data.ttl_changes
      where ledger_sequence between lower($1) and upper($1) - 1 and $1 @> ledger_sequence
    $changes$) using with_ttls;
  end if;
  if ledgers is not null then
    -- $1: the ledgers. `newest` is narrow, so it is hashed and not sorted; the values are fetched afterwards. No
    -- change_index reaches 2^31, so one bigint orders (ledger_sequence, change_index), and the largest ledger still fits.
    execute contract_data.fold_statement($changes$
      with newest as materialized (
        select max(ledger_sequence * 2147483648 + change_index) as place
        from contract_data.entries
        where ledger_sequence between lower($1) and upper($1) - 1 and $1 @> ledger_sequence
        group by ledger_key_hash
      )
      select e.*
      from newest
      join contract_data.entries e
        on e.ledger_sequence = newest.place / 2147483648 and e.change_index = newest.place % 2147483648
      where e.ledger_sequence between lower($1) and upper($1) - 1
    $changes$) using ledgers;
  end if;

  perform contract_data.note_folded('{}', all_ledgers, with_ttls);
  update contract_data.ingestion_progress set folded = true
  where id = any (window_ids) and status = 'completed' and not folded;
  get diagnostics folded_windows = row_count;
  return folded_windows;
end $$;
revoke all on function contract_data.fold_windows(bigint[]) from public;
comment on function contract_data.fold_windows(bigint[]) is 'Brings key_states, entry_ttls and contract_assets up to the given completed windows.';
