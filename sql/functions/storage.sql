create or replace function contract_data.storage(contract_id text)
returns table (
  key jsonb, value jsonb, contract_durability text, liveness text, live_until_ledger bigint, ledger_sequence bigint,
  change_index integer, closed_at timestamptz, ledger_key_hash text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select contract_data.scval(s.key_xdr), contract_data.scval(s.val_xdr), s.contract_durability,
    s.liveness, s.live_until_ledger, s.ledger_sequence, s.change_index, s.closed_at, s.ledger_key_hash
  from contract_data.current_states s
  where s.contract_id = storage.contract_id
  order by s.key_xdr, s.contract_durability
$$;
comment on function contract_data.storage(text) is
  'The entries of a contract now, with key and value as JSON (see scval), and what is known of their life: see current_states.';
