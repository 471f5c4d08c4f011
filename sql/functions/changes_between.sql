create or replace function contract_data.changes_between(contract_id text, from_ledger bigint, to_ledger bigint)
returns table (
  ledger_sequence bigint, change_index integer, closed_at timestamptz, change text, key jsonb, value_before jsonb, value_after jsonb,
  contract_durability text, ledger_key_hash text)
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select c.ledger_sequence, c.change_index, c.closed_at,
    case when c.deleted then 'removed' when c.was_there then 'updated' else 'created' end,
    contract_data.scval(c.key_xdr),
    contract_data.scval(case when c.deleted then c.val_xdr when c.was_there then c.xdr_before end),
    case when not c.deleted then contract_data.scval(c.val_xdr) end,
    c.contract_durability, c.ledger_key_hash
  from (
    select h.*, lag(h.val_xdr) over changes as xdr_before, not coalesce(lag(h.deleted) over changes, true) as was_there
    from contract_data.known_history(changes_between.contract_id, from_ledger, to_ledger) h
    window changes as (partition by h.ledger_key_hash order by h.ledger_sequence, h.change_index)
  ) c
  where c.ledger_sequence > from_ledger
  order by c.ledger_sequence, c.change_index
$$;
comment on function contract_data.changes_between(text, bigint, bigint) is
  'Every change of a contract after from_ledger, up to to_ledger: created, updated or removed, with key and values as JSON (see scval). An entry whose earlier changes are not loaded counts as created. Fails (55000) if from_ledger is before retention, or to_ledger not loaded yet.';
