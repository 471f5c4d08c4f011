-- $1, $2: a range of ledgers. What entry_ttls says of the keys whose times to live were changed there against what the history
-- says, over the windows that are marked as folded. Not written as the fold is, on purpose.
with unfolded as (
  select coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}'::int8multirange) as ledgers
  from contract_data.ingestion_progress where status = 'completed' and not folded
), history as not materialized (
  select ledger_key_hash, change, live_until_ledger, contract_durability, ledger_sequence, change_index
  from contract_data.ttl_changes
  where ledger_sequence >= (select coalesce(condensed_to, 0) from contract_data.settings)
    and not (select ledgers from unfolded) @> ledger_sequence
  union all
  select ledger_key_hash, change, live_until_ledger, contract_durability, ledger_sequence, change_index
  from contract_data.retained_ttls
), touched as materialized (
  select distinct ledger_key_hash from history where ledger_sequence between $1 and $2
), latest as (
  select ledger_key_hash, max(ledger_sequence) as ledger_sequence from history
  where ($1::bigint, $2::bigint) = (0::bigint, 4294967295::bigint) or ledger_key_hash in (select ledger_key_hash from touched)
  group by 1
), in_ledger as (
  select h.* from history h join latest using (ledger_key_hash, ledger_sequence)
), places as (
  select ledger_key_hash, max(change_index) as last, coalesce(max(change_index) filter (where change <> 'extended'), 0) as began
  from in_ledger group by 1
), ends as (
  select ledger_key_hash, max(live_until_ledger) as live_until_ledger
  from in_ledger join places using (ledger_key_hash) where change_index >= began group by 1
), model as (
  select l.ledger_key_hash, l.change, l.contract_durability, l.ledger_sequence, l.change_index,
    case when l.change in ('created', 'extended', 'restored') then e.live_until_ledger end as live_until_ledger
  from in_ledger l
  join places p on p.ledger_key_hash = l.ledger_key_hash and p.last = l.change_index
  join ends e on e.ledger_key_hash = l.ledger_key_hash
), states as (
  select * from contract_data.entry_ttls
  where ($1::bigint, $2::bigint) = (0::bigint, 4294967295::bigint) or ledger_key_hash in (select ledger_key_hash from touched)
    or ledger_sequence between $1 and $2
)
select coalesce(m.ledger_key_hash, t.ledger_key_hash) as ledger_key_hash,
  case
    when t.ledger_key_hash is null then 'is missing from entry_ttls'
    when m.ledger_key_hash is null then 'is in entry_ttls and not in the history'
    else 'has another time to live than the history says'
  end as problem,
  count(*) over () as differences
from model m
full join states t on t.ledger_key_hash = m.ledger_key_hash
where (m.change, m.live_until_ledger, m.contract_durability, m.ledger_sequence, m.change_index)
  is distinct from (t.change, t.live_until_ledger, t.contract_durability, t.ledger_sequence, t.change_index)
order by 1
limit 5
