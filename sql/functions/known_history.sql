-- Volatile, so that each statement sees what is committed when it begins: maintenance may condense and drop a partition meanwhile.
create or replace function contract_data.known_history(contract_id text, from_ledger bigint, to_ledger bigint)
returns setof contract_data.retained_states
language plpgsql volatile strict set search_path = pg_catalog, pg_temp as $$
declare
  boundary bigint;
  newest bigint;
begin
  select greatest(s.condensed_to, (select b.ledger + 1 from contract_data.snapshots b), 0) into strict boundary
  from contract_data.settings s;
  select greatest(max(w.end_ledger), boundary - 1, 0) into strict newest from contract_data.ingestion_progress w where w.status = 'completed';
  if from_ledger < boundary - 1 then
    raise exception 'the history before ledger % is not kept: the state after ledger % is unknown', boundary, from_ledger
      using errcode = '55000';
  end if;
  if to_ledger > newest then
    raise exception 'ledger % is not loaded yet: the newest is %', to_ledger, newest using errcode = '55000';
  end if;
  -- Of retained_states by its only index, the key: key_states knows the keys of a contract.
  return query
    select r.*
    from contract_data.key_states k join contract_data.retained_states r using (ledger_key_hash)
    where k.contract_id = known_history.contract_id
    union all
    select e.*
    from contract_data.entries e
    where e.contract_id = known_history.contract_id and e.ledger_sequence between boundary and to_ledger;
  if boundary < (select s.condensed_to from contract_data.settings s) then
    raise exception 'retention moved past ledger % meanwhile: ask again', boundary using errcode = '40001';
  end if;
end $$;
comment on function contract_data.known_history(text, bigint, bigint) is
  'The changes of a contract up to to_ledger, in no order; of those before retention, the last of each key. Fails (55000) if they do not give the state after from_ledger, or if to_ledger is not loaded.';
