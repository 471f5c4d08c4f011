-- `live_until_ledger`: what entry_ttls says, if the entry that it speaks of cannot be an earlier one with the same key, and what the
-- newest change says. `known_at`: the ledger of the newer of them. An entry that the network has evicted, or whose time is over in
-- ledgers whose changes of times to live are all known, is gone if it was temporary, else archived.
create or replace view contract_data.current_states as
select
  contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type, balance_holder, balance,
  last_modified_ledger, ledger_sequence, change_index, closed_at, ledger_key_hash, key_xdr, val_xdr,
  contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq,
  live_until_ledger,
  case
    when live_until_ledger >= (select newest_ledger from contract_data.folded_ledgers) then 'live'
    when evicted or known_at >= (select ttls_whole_from from contract_data.folded_ledgers) then 'archived'
    else 'unknown'
  end as liveness,
  ledger_entry_change, token_holder, token_amount
from (
  select k.*,
    greatest(l.of_ttl, l.of_change) as live_until_ledger,
    greatest(case when l.of_ttl is not null then t.ledger_sequence end,
      case when l.of_change is not null then k.ledger_sequence end) as known_at,
    t.change = 'evicted' and t.ledger_sequence >= k.ledger_sequence as evicted
  from contract_data.key_states k
  left join contract_data.entry_ttls t on t.ledger_key_hash = k.ledger_key_hash
  cross join lateral (
    select
      case when t.ledger_sequence >= least(k.ledger_sequence, (select ttls_whole_from from contract_data.folded_ledgers))
        then t.live_until_ledger end as of_ttl,
      case when t.live_until_ledger is not null or t.ledger_sequence is null or k.ledger_sequence > t.ledger_sequence
        then k.expiration_ledger_seq end as of_change) l
  where not k.deleted
) s
where contract_durability <> 'ContractDataDurabilityTemporary'
  or not coalesce(evicted, false)
    and not coalesce(
      live_until_ledger < (select newest_ledger from contract_data.folded_ledgers)
        and known_at >= (select ttls_whole_from from contract_data.folded_ledgers), false);
comment on view contract_data.current_states is
  'The state after the newest folded ledger: one row per entry that is neither deleted nor gone. Balances carry the asset of their contract.';
-- The other columns' comments are those of key_states.
do $$
declare
  column_name name;
  comment text;
begin
  for column_name, comment in
    select attname, col_description('contract_data.key_states'::regclass, k.attnum)
    from pg_attribute k join pg_attribute v using (attname)
    where k.attrelid = 'contract_data.key_states'::regclass and v.attrelid = 'contract_data.current_states'::regclass
      and k.attnum > 0
  loop
    execute format('comment on column contract_data.current_states.%I is %L', column_name, comment);
  end loop;
end $$;
comment on column contract_data.current_states.live_until_ledger is
  'The last ledger in which the entry lives unless it is extended; null if that is not known.';
comment on column contract_data.current_states.liveness is
  'live; archived: a persistent entry whose time is over, which still has its owner and can be restored; unknown: cannot be told from what is loaded.';
