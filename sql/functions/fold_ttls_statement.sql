-- The fold of times to live: the only statement that inserts into entry_ttls and retained_ttls. `changes` is a query for rows with
-- the columns of ttl_changes. The newest change of an entry wins, in whatever order windows come. In its ledger, transactions that
-- were applied in parallel may each show the value that they saw, so the greatest since the entry was created or restored counts.
create or replace function contract_data.fold_ttls_statement(target text, changes text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select format($fold$
    insert into contract_data.%I as t (
      ledger_key_hash, change, live_until_ledger, contract_durability, ledger_sequence, change_index)
    select distinct on (ledger_key_hash)
      ledger_key_hash, change,
      case when change not in ('removed', 'evicted') then
        max(live_until_ledger) filter (where change_index >= coalesce(began, 0)) over (partition by ledger_key_hash)
      end,
      contract_durability, ledger_sequence, change_index
    from (
      select c.*, max(change_index) filter (where change <> 'extended') over (partition by ledger_key_hash) as began
      from (
        select c.*, max(ledger_sequence) over (partition by ledger_key_hash) as newest from (%s) c
      ) c where ledger_sequence = newest
    ) c
    order by ledger_key_hash, change_index desc
    on conflict (ledger_key_hash) do update set
      (change, live_until_ledger, contract_durability, ledger_sequence, change_index)
      = row (excluded.change, excluded.live_until_ledger, excluded.contract_durability, excluded.ledger_sequence, excluded.change_index)
    where (t.ledger_sequence, t.change_index) < (excluded.ledger_sequence, excluded.change_index)
    $fold$, target, changes)
$$;
comment on function contract_data.fold_ttls_statement(text, text) is
  'The statement that folds the changes of times to live found by a query into entry_ttls or retained_ttls: the newest of a key wins.';
