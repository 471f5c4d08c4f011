-- {ledger}: a checkpoint. The entries that are there after it, by ledger_key_hash: the newest change of each up to it, with a hash of
-- its value, and what is known of its life then. Not written as the folds are, on purpose: it follows from the history alone.
copy (
  with retained as materialized (
    select coalesce(condensed_to, 0) as low from contract_data.settings
  ), changes as (
    select ledger_key_hash, ledger_sequence, change_index, deleted, last_modified_ledger, expiration_ledger_seq, contract_id,
      sha256(convert_to(coalesce(val_xdr, ''), 'UTF8')) as value
    from contract_data.entries, retained
    where ledger_sequence >= low and ledger_sequence <= {ledger}
    union all
    select ledger_key_hash, ledger_sequence, change_index, deleted, last_modified_ledger, expiration_ledger_seq, contract_id,
      sha256(convert_to(coalesce(val_xdr, ''), 'UTF8'))
    from contract_data.retained_states
    where ledger_sequence <= {ledger}
  ), newest as (
    select distinct on (ledger_key_hash) *
    from changes
    order by ledger_key_hash, ledger_sequence desc, change_index desc
  ), lives as (
    select ledger_key_hash, change, live_until_ledger, ledger_sequence, change_index
    from contract_data.ttl_changes, retained
    where ledger_sequence >= low and ledger_sequence <= {ledger}
    union all
    select ledger_key_hash, change, live_until_ledger, ledger_sequence, change_index
    from contract_data.retained_ttls
    where ledger_sequence <= {ledger}
  ), last_lives as (
    select l.*, max(change_index) filter (where change <> 'extended') over (partition by ledger_key_hash) as began
    from (select l.*, max(ledger_sequence) over (partition by ledger_key_hash) as newest from lives l) l
    where ledger_sequence = newest
  ), ends as (
    select ledger_key_hash, max(live_until_ledger) filter (where change_index >= coalesce(began, 0)) as live_until_ledger,
      (array_agg(change order by change_index desc))[1] as change
    from last_lives
    group by ledger_key_hash
  )
  select n.ledger_key_hash, n.contract_id, n.last_modified_ledger, n.value,
    case when e.change not in ('removed', 'evicted') then e.live_until_ledger end as live_until_ledger,
    coalesce(e.change = 'evicted' or coalesce(e.live_until_ledger, n.expiration_ledger_seq) < {ledger}, false) as is_over
  from newest n
  left join ends e using (ledger_key_hash)
  where not n.deleted
  order by n.ledger_key_hash
) to stdout (format binary)
