-- $1, $2: a range of ledgers. What key_states says of the keys changed there against what the history says: the newest
-- change per key, over the windows that are marked as folded. Not written as the fold is, on purpose. What retention has
-- condensed is history too: its rows are those of retained_states, older than all that are read of entries. {columns of …}:
-- the columns of a change, without the asset.
with history as not materialized (
  select * from contract_data.entries
  where ledger_sequence >= (select coalesce(condensed_to, 0) from contract_data.settings)
  union all
  select * from contract_data.retained_states
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
where (m.known_code, m.known_issuer, m.known_type, {columns of m})
  is distinct from (k.asset_code, k.asset_issuer, k.asset_type, {columns of k})
order by 1
limit 5
