-- $1, $2: a range of ledgers. What key_states says of the keys changed there against what the history says: the newest
-- change per key, over the windows that are marked as folded. Not written as the fold is, on purpose. What retention has
-- condensed is history too: its rows are those of retained_states, older than all that are read of entries.
with history as not materialized (
  select
    ledger_key_hash, contract_id, contract_key_type, contract_durability, balance_holder, balance, last_modified_ledger,
    deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr, contract_instance_type,
    contract_instance_wasm_hash, expiration_ledger_seq
  from contract_data.entries
  where ledger_sequence >= (select coalesce(condensed_to, 0) from contract_data.settings)
  union all
  select
    ledger_key_hash, contract_id, contract_key_type, contract_durability, balance_holder, balance, last_modified_ledger,
    deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr, contract_instance_type,
    contract_instance_wasm_hash, expiration_ledger_seq
  from contract_data.retained_states
), unfolded as (
  select coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}'::int8multirange) as ledgers
  from contract_data.ingestion_progress where status = 'completed' and not folded
), touched as (
  select distinct ledger_key_hash from history where ledger_sequence between $1 and $2
), newest as materialized (
  select distinct on (e.ledger_key_hash) e.ledger_sequence, e.change_index
  from history e
  where (($1::bigint, $2::bigint) = (0::bigint, 4294967295::bigint) or e.ledger_key_hash in (select ledger_key_hash from touched))
    and not (select ledgers from unfolded) @> e.ledger_sequence
  order by e.ledger_key_hash, e.ledger_sequence desc, e.change_index desc
), model as (
  select e.*, a.asset_code as known_code, a.asset_issuer as known_issuer, a.asset_type as known_type
  from newest
  join history e using (ledger_sequence, change_index)
  left join contract_data.contract_assets a on e.balance_holder is not null and a.contract_id = e.contract_id
), states as (
  select * from contract_data.key_states k
  where (($1::bigint, $2::bigint) = (0::bigint, 4294967295::bigint) or k.ledger_key_hash in (select ledger_key_hash from touched)
         or k.ledger_sequence between $1 and $2)
)
select coalesce(m.ledger_key_hash, k.ledger_key_hash) as ledger_key_hash,
  case
    when k.ledger_key_hash is null then 'is missing from key_states'
    when m.ledger_key_hash is null then 'is in key_states and not in the history'
    else 'is not what the history says'
  end as problem,
  count(*) over () as differences
from model m
full join states k on k.ledger_key_hash = m.ledger_key_hash
where (m.ledger_key_hash, m.contract_id, m.contract_key_type, m.contract_durability, m.known_code, m.known_issuer,
    m.known_type, m.balance_holder, m.balance, m.last_modified_ledger, m.deleted, m.ledger_sequence, m.change_index,
    m.closed_at, m.key_xdr, m.val_xdr, m.contract_instance_type, m.contract_instance_wasm_hash, m.expiration_ledger_seq)
  is distinct from (k.ledger_key_hash, k.contract_id, k.contract_key_type, k.contract_durability, k.asset_code,
    k.asset_issuer, k.asset_type, k.balance_holder, k.balance, k.last_modified_ledger, k.deleted, k.ledger_sequence,
    k.change_index, k.closed_at, k.key_xdr, k.val_xdr, k.contract_instance_type, k.contract_instance_wasm_hash,
    k.expiration_ledger_seq)
order by 1
limit 5
