-- What analysts read.

create view contract_data.asset_summary as
select
  asset_code,
  asset_issuer,
  asset_type,
  contract_id,
  count(*) filter (where balance > 0) as holders,
  sum(balance) as total_balance,
  round(avg(balance) filter (where balance > 0)) as average_balance,
  max(balance) as largest_balance,
  max(ledger_sequence) as last_ledger,
  max(closed_at) as last_change_at
from contract_data.current_states
where balance_holder is not null and asset_type is not null
group by asset_code, asset_issuer, asset_type, contract_id;
comment on view contract_data.asset_summary is
  'Per asset, from the current state: contracts that hold it, total, average and largest balance, in the smallest unit.';

create view contract_data.recent_activity as
select
  contract_id,
  count(*) as changes,
  count(distinct ledger_key_hash) as keys,
  count(*) filter (where deleted) as deletions,
  min(closed_at) as first_seen,
  max(closed_at) as last_seen
from contract_data.entries
where closed_at > now() - interval '24 hours'
group by contract_id;
comment on view contract_data.recent_activity is 'Per contract, the changes of the last 24 hours.';

create function contract_data.get_balance_history(p_contract_id text, p_limit integer default 100)
returns table (
  ledger_sequence bigint, change_index integer, closed_at timestamptz, balance_holder text, balance numeric, deleted boolean,
  asset_code text, asset_issuer text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select e.ledger_sequence, e.change_index, e.closed_at, e.balance_holder, e.balance, e.deleted, a.asset_code, a.asset_issuer
  from contract_data.entries e
  left join contract_data.contract_assets a on a.contract_id = e.contract_id
  where e.contract_id = p_contract_id and e.balance_holder is not null
  order by e.ledger_sequence desc, e.change_index desc
  limit p_limit
$$;
comment on function contract_data.get_balance_history(text, integer) is
  'The balance changes of one token contract, newest first, with its asset if known.';

create function contract_data.get_top_holders(p_asset_code text, p_asset_issuer text, p_limit integer default 100)
returns table (
  rank bigint, balance_holder text, balance numeric, amount numeric, last_modified_ledger bigint, closed_at timestamptz,
  contract_id text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_asset_issuer is null then
    if p_asset_code is not null and p_asset_code not in ('native', 'XLM') then
      raise exception 'asset % needs its issuer; only native (XLM) has none', p_asset_code using errcode = '22023';
    end if;
    return query
      select row_number() over (order by h.balance desc), h.*
      from (select s.balance_holder, s.balance, s.balance * 0.0000001, s.last_modified_ledger, s.closed_at, s.contract_id
            from contract_data.current_states s where s.asset_type = 'native'
            order by s.balance desc limit p_limit) h
      order by 1;
  else
    return query
      select row_number() over (order by h.balance desc), h.*
      from (select s.balance_holder, s.balance, s.balance * 0.0000001, s.last_modified_ledger, s.closed_at, s.contract_id
            from contract_data.current_states s where s.asset_code = p_asset_code and s.asset_issuer = p_asset_issuer
            order by s.balance desc limit p_limit) h
      order by 1;
  end if;
end $$;
comment on function contract_data.get_top_holders(text, text, integer) is
  'The contracts that hold most of an asset now, largest first; issuer null is the native asset. amount has 7 decimals.';

create function contract_data.liveness(expiration_ledger_seq bigint, at_ledger bigint) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select case
    when expiration_ledger_seq is null or at_ledger is null then 'unknown'
    when expiration_ledger_seq >= at_ledger then 'live'
    else 'expired'
  end
$$;
comment on function contract_data.liveness(bigint, bigint) is
  'live, expired or unknown: whether an entry whose TTL ends with expiration_ledger_seq lives in at_ledger.';

create view contract_data.ledger_gaps as
select start_ledger, end_ledger, end_ledger - start_ledger + 1 as ledgers
from (
  select end_ledger + 1 as start_ledger, lead(start_ledger) over (order by start_ledger) - 1 as end_ledger
  from contract_data.ingestion_progress where status = 'completed'
) between_windows
where start_ledger <= end_ledger;
comment on view contract_data.ledger_gaps is 'Ledgers between completed windows that no completed window covers.';

create view contract_data.table_sizes as
select
  coalesce(parent.relname, c.relname)::text as table_name,
  count(*) filter (where c.relkind = 'r') as partitions,
  sum(greatest(c.reltuples, 0))::bigint as estimated_rows,
  sum(pg_table_size(c.oid))::bigint as table_bytes,
  sum(pg_indexes_size(c.oid))::bigint as index_bytes,
  sum(pg_total_relation_size(c.oid))::bigint as total_bytes,
  pg_size_pretty(sum(pg_total_relation_size(c.oid))) as total
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_inherits i on i.inhrelid = c.oid
left join pg_class parent on parent.oid = i.inhparent
where n.nspname = 'contract_data' and c.relkind = 'r'
group by 1;
comment on view contract_data.table_sizes is 'Size of each table with its indexes, the partitions of entries added up.';

comment on column contract_data.asset_summary.asset_code is 'The code; null for native.';
comment on column contract_data.asset_summary.asset_issuer is 'The issuer; null for native.';
comment on column contract_data.asset_summary.asset_type is 'native, credit_alphanum4 or credit_alphanum12.';
comment on column contract_data.asset_summary.contract_id is 'Strkey of the Stellar asset contract.';
comment on column contract_data.asset_summary.holders is 'Contracts with a balance above zero.';
comment on column contract_data.asset_summary.total_balance is 'Sum of their balances, in the smallest unit.';
comment on column contract_data.asset_summary.average_balance is 'Average over the holders, rounded to the smallest unit.';
comment on column contract_data.asset_summary.largest_balance is 'The largest balance, in the smallest unit.';
comment on column contract_data.asset_summary.last_ledger is 'The newest ledger that changed a balance.';
comment on column contract_data.asset_summary.last_change_at is 'When that ledger closed.';
comment on column contract_data.recent_activity.contract_id is 'Strkey of the contract.';
comment on column contract_data.recent_activity.changes is 'Changes of its entries in the last 24 hours.';
comment on column contract_data.recent_activity.keys is 'Entries that were changed.';
comment on column contract_data.recent_activity.deletions is 'Changes that removed an entry.';
comment on column contract_data.recent_activity.first_seen is 'Close time of the first of these changes.';
comment on column contract_data.recent_activity.last_seen is 'Close time of the last of them.';
comment on column contract_data.ledger_gaps.start_ledger is 'First missing ledger.';
comment on column contract_data.ledger_gaps.end_ledger is 'Last missing ledger, inclusive.';
comment on column contract_data.ledger_gaps.ledgers is 'How many are missing.';
comment on column contract_data.table_sizes.table_name is 'The table; partitions of entries are added up under it.';
comment on column contract_data.table_sizes.partitions is 'Physical tables behind it.';
comment on column contract_data.table_sizes.estimated_rows is 'Rows, as the planner estimates them.';
comment on column contract_data.table_sizes.table_bytes is 'Bytes of rows, with out-of-line values.';
comment on column contract_data.table_sizes.index_bytes is 'Bytes of indexes.';
comment on column contract_data.table_sizes.total_bytes is 'Bytes in all.';
comment on column contract_data.table_sizes.total is 'The same, for people.';
