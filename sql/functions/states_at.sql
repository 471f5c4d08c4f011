create or replace function contract_data.states_at(contract_id text, ledger bigint)
returns table (
  key jsonb, value jsonb, contract_durability text, liveness text, expiration_ledger_seq bigint, ledger_sequence bigint,
  change_index integer, closed_at timestamptz, ledger_key_hash text)
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select contract_data.scval(s.key_xdr), contract_data.scval(s.val_xdr), s.contract_durability,
    contract_data.liveness(s.expiration_ledger_seq, ledger), s.expiration_ledger_seq, s.ledger_sequence, s.change_index, s.closed_at,
    s.ledger_key_hash
  from (
    select distinct on (h.ledger_key_hash) h.*
    from contract_data.known_history(states_at.contract_id, ledger, ledger) h
    order by h.ledger_key_hash, h.ledger_sequence desc, h.change_index desc
  ) s
  where not s.deleted
  order by s.key_xdr, s.contract_durability
$$;
comment on function contract_data.states_at(text, bigint) is
  'The entries of a contract after this ledger, with key and value as JSON (see scval) and whether they lived in it; as far as the history is loaded. Fails (55000) for a ledger before retention, or one that is not loaded yet.';
