-- The fold: the only statement that inserts into key_states. `changes` is a query for rows of entries or retained_states, one
-- per key. A balance gets the asset of its contract. The newest change of a key wins, in whatever order windows come. The
-- columns are those that key_states has at that moment, so a column of a later migration is folded too.
create or replace function contract_data.fold_statement(changes text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format($fold$
    insert into contract_data.key_states as k (%1$s)
    select %2$s
    from (%3$s) n
    left join contract_data.contract_assets a on n.balance_holder is not null and a.contract_id = n.contract_id
    order by n.ledger_key_hash
    on conflict (ledger_key_hash) do update set (%1$s) = row (excluded.*)
    where (k.ledger_sequence, k.change_index) < (excluded.ledger_sequence, excluded.change_index)
    $fold$,
    string_agg(quote_ident(attname), ', ' order by attnum),
    string_agg(
      case when attname in ('asset_code', 'asset_issuer', 'asset_type') then 'a.' else 'n.' end || quote_ident(attname),
      ', ' order by attnum),
    changes)
  from pg_attribute
  where attrelid = 'contract_data.key_states'::regclass and attnum > 0 and not attisdropped
$$;
comment on function contract_data.fold_statement(text) is
  'The statement that folds the changes found by a query into key_states: each with the asset of its contract, the newest of a key wins.';
