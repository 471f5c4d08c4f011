-- The fold: what the history says now. key_states holds one row per ledger key, tombstones included: without them an older
-- window that comes after a deletion would bring the key back to life.

create table contract_data.contract_assets (
  contract_id text collate "C" not null,
  asset_type text collate "C" not null,
  asset_code text collate "C",
  asset_issuer text collate "C",
  learnt_from text not null,
  learnt_at timestamptz not null default now(),
  constraint contract_assets_pkey primary key (contract_id),
  constraint contract_assets_learnt_from_check check (learnt_from in ('network', 'instance', 'derived'))
);
comment on table contract_data.contract_assets is 'Which asset a Stellar asset contract (SAC) stands for. Never changes once known: the contract id is a hash of it.';
comment on column contract_data.contract_assets.learnt_from is 'network: native, known from the start. instance: an instance entry said so. derived: computed from CODE:ISSUER.';

comment on column contract_data.contract_assets.contract_id is 'Strkey (C…) of the contract.';
comment on column contract_data.contract_assets.asset_type is 'native, credit_alphanum4 or credit_alphanum12.';
comment on column contract_data.contract_assets.asset_code is 'The code; null for native.';
comment on column contract_data.contract_assets.asset_issuer is 'The issuer (G…); null for native.';
comment on column contract_data.contract_assets.learnt_at is 'Since when it is known.';

create table contract_data.key_states (
  ledger_key_hash text collate "C" not null,
  contract_id text collate "C" not null,
  contract_key_type text collate "C" not null,
  contract_durability text collate "C" not null,
  asset_code text collate "C",
  asset_issuer text collate "C",
  asset_type text collate "C",
  balance_holder text collate "C",
  balance numeric(39, 0),
  last_modified_ledger bigint not null,
  deleted boolean not null,
  ledger_sequence bigint not null,
  change_index integer not null,
  closed_at timestamptz not null,
  key_xdr text collate "C",
  val_xdr text collate "C",
  contract_instance_type text collate "C",
  contract_instance_wasm_hash text collate "C",
  expiration_ledger_seq bigint,
  constraint key_states_pkey primary key (ledger_key_hash)
) with (fillfactor = 85);

create index key_states_contract on contract_data.key_states (contract_id);
create index key_states_rich_list on contract_data.key_states (asset_code, asset_issuer, balance desc)
  where asset_code is not null and not deleted;
create index key_states_rich_list_native on contract_data.key_states (balance desc)
  where asset_type = 'native' and not deleted;

comment on table contract_data.key_states is
  'The newest change of every ledger key, by (ledger_sequence, change_index), deletions included. Read current_states instead.';
comment on column contract_data.key_states.asset_code is 'On balances only: the code of the contract''s asset, once known.';
comment on column contract_data.key_states.asset_issuer is 'On balances only: the issuer of the contract''s asset, once known.';
comment on column contract_data.key_states.asset_type is 'On balances only: the type of the contract''s asset, once known.';
comment on column contract_data.key_states.deleted is 'True where the newest change removed the entry.';
comment on column contract_data.key_states.contract_id is 'Strkey (C…) of the contract that owns the entry.';
comment on column contract_data.key_states.contract_key_type is 'Type of the key.';
comment on column contract_data.key_states.contract_durability is 'ContractDataDurabilityPersistent or ContractDataDurabilityTemporary.';
comment on column contract_data.key_states.balance_holder is 'Strkey of the holder, on balances.';
comment on column contract_data.key_states.balance is 'Exact amount in the smallest unit, on balances.';
comment on column contract_data.key_states.last_modified_ledger is 'Ledger of the modification; on a deletion, of the one before it.';
comment on column contract_data.key_states.ledger_sequence is 'The ledger of the newest change.';
comment on column contract_data.key_states.change_index is 'Its position in that ledger.';
comment on column contract_data.key_states.closed_at is 'When that ledger closed (UTC instant).';
comment on column contract_data.key_states.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR: the identity of the entry.';
comment on column contract_data.key_states.key_xdr is 'Base64 XDR of the SCVal key.';
comment on column contract_data.key_states.val_xdr is 'Base64 XDR of the SCVal value.';
comment on column contract_data.key_states.contract_instance_type is 'wasm or stellar_asset, on instance entries.';
comment on column contract_data.key_states.contract_instance_wasm_hash is 'Hex hash of the contract code, on wasm instances.';
comment on column contract_data.key_states.expiration_ledger_seq is 'The last ledger in which the entry lives unless extended; see liveness().';

create view contract_data.current_states as
select
  contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type, balance_holder, balance,
  last_modified_ledger, ledger_sequence, change_index, closed_at, ledger_key_hash, key_xdr, val_xdr,
  contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq
from contract_data.key_states
where not deleted;
comment on view contract_data.current_states is
  'The state now: one row per entry that is not deleted. Balances carry the asset of their contract. Whether an entry is still live: liveness(expiration_ledger_seq, ledger).';
comment on column contract_data.current_states.contract_id is 'Strkey (C…) of the contract that owns the entry.';
comment on column contract_data.current_states.contract_key_type is 'Type of the key.';
comment on column contract_data.current_states.contract_durability is 'ContractDataDurabilityPersistent or ContractDataDurabilityTemporary.';
comment on column contract_data.current_states.balance_holder is 'Strkey of the holder, on balances.';
comment on column contract_data.current_states.balance is 'Exact amount in the smallest unit, on balances.';
comment on column contract_data.current_states.last_modified_ledger is 'Ledger of the modification; on a deletion, of the one before it.';
comment on column contract_data.current_states.ledger_sequence is 'The ledger of the newest change.';
comment on column contract_data.current_states.change_index is 'Its position in that ledger.';
comment on column contract_data.current_states.closed_at is 'When that ledger closed (UTC instant).';
comment on column contract_data.current_states.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR: the identity of the entry.';
comment on column contract_data.current_states.key_xdr is 'Base64 XDR of the SCVal key.';
comment on column contract_data.current_states.val_xdr is 'Base64 XDR of the SCVal value.';
comment on column contract_data.current_states.contract_instance_type is 'wasm or stellar_asset, on instance entries.';
comment on column contract_data.current_states.contract_instance_wasm_hash is 'Hex hash of the contract code, on wasm instances.';
comment on column contract_data.current_states.expiration_ledger_seq is 'The last ledger in which the entry lives unless extended; see liveness().';
comment on column contract_data.current_states.asset_code is 'On balances only: the code of the contract''s asset, once known; null for native.';
comment on column contract_data.current_states.asset_issuer is 'On balances only: the issuer of the contract''s asset, once known; null for native.';
comment on column contract_data.current_states.asset_type is 'On balances only: the type of the contract''s asset, once known.';

-- Fills the asset of the balances of the given contracts. The caller holds the fold's lock.
create function contract_data.spread_assets(contract_ids text[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  changed bigint;
begin
  update contract_data.key_states k
  set asset_code = a.asset_code, asset_issuer = a.asset_issuer, asset_type = a.asset_type
  from contract_data.contract_assets a
  where a.contract_id = any (contract_ids) and k.contract_id = a.contract_id and k.balance_holder is not null
    and (k.asset_code, k.asset_issuer, k.asset_type) is distinct from (a.asset_code, a.asset_issuer, a.asset_type);
  get diagnostics changed = row_count;
  return changed;
end $$;
comment on function contract_data.spread_assets(text[]) is 'Fills asset_code, asset_issuer and asset_type on the balances of the given contracts.';

-- Learns assets from the instance rows in the given ledgers, and fills the balances that were folded before their asset
-- was known. The caller holds the fold's lock.
create function contract_data.learn_assets(ledgers int8multirange) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  learnt text[];
begin
  with instances as (
    select distinct on (e.contract_id) e.contract_id, e.asset_type, e.asset_code, e.asset_issuer
    from contract_data.entries e
    where e.ledger_sequence between lower(ledgers) and upper(ledgers) - 1 and ledgers @> e.ledger_sequence
      and e.asset_type is not null
    order by e.contract_id, e.ledger_sequence desc, e.change_index desc
  ), inserted as (
    insert into contract_data.contract_assets (contract_id, asset_type, asset_code, asset_issuer, learnt_from)
    select contract_id, asset_type, asset_code, asset_issuer, 'instance' from instances order by contract_id
    on conflict (contract_id) do nothing
    returning contract_id
  )
  select array_agg(contract_id) into learnt from inserted;
  if learnt is not null then
    perform contract_data.spread_assets(learnt);
  end if;
end $$;
comment on function contract_data.learn_assets(int8multirange) is 'Learns contract_assets from the instance rows of the given ledgers.';

-- Folds the given windows into contract_assets and key_states. The caller's transaction serialises on one lock with
-- everything else that writes these tables, and works in key order; it marks exactly the windows it was given. Newest
-- wins whatever the order of the windows. Returns the number of windows folded.
create function contract_data.fold_windows(window_ids bigint[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
-- The join below is to be hashed, whatever the planner knows of rows that were copied a moment ago: a merge join would sort
-- every value of the windows, a nested loop without statistics would not end.
set work_mem = '64MB' set jit = off set enable_mergejoin = off set enable_nestloop = off
as $$
declare
  ledgers int8multirange;
  folded_windows bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select range_agg(int8range(start_ledger, end_ledger, '[]')) into ledgers
  from contract_data.ingestion_progress
  where id = any (window_ids) and status = 'completed' and not folded and entries_processed > 0;

  if ledgers is not null then
    perform contract_data.learn_assets(ledgers);

    with newest as materialized (
      -- Narrow, and hashed instead of sorted: the values are fetched afterwards. No change_index reaches 2^31, so one
      -- bigint orders (ledger_sequence, change_index), and the largest ledger still fits.
      select max(e.ledger_sequence * 2147483648 + e.change_index) as place
      from contract_data.entries e
      where e.ledger_sequence between lower(ledgers) and upper(ledgers) - 1 and ledgers @> e.ledger_sequence
      group by e.ledger_key_hash
    )
    insert into contract_data.key_states as k (
      ledger_key_hash, contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
      balance_holder, balance, last_modified_ledger, deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr,
      contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq)
    select
      n.ledger_key_hash, n.contract_id, n.contract_key_type, n.contract_durability, a.asset_code, a.asset_issuer, a.asset_type,
      n.balance_holder, n.balance, n.last_modified_ledger, n.deleted, n.ledger_sequence, n.change_index, n.closed_at,
      n.key_xdr, n.val_xdr, n.contract_instance_type, n.contract_instance_wasm_hash, n.expiration_ledger_seq
    from newest
    join contract_data.entries n
      on n.ledger_sequence = newest.place / 2147483648 and n.change_index = newest.place % 2147483648
    left join contract_data.contract_assets a on n.balance_holder is not null and a.contract_id = n.contract_id
    where n.ledger_sequence between lower(ledgers) and upper(ledgers) - 1
    order by n.ledger_key_hash
    on conflict (ledger_key_hash) do update set
      contract_id = excluded.contract_id,
      contract_key_type = excluded.contract_key_type,
      contract_durability = excluded.contract_durability,
      asset_code = excluded.asset_code,
      asset_issuer = excluded.asset_issuer,
      asset_type = excluded.asset_type,
      balance_holder = excluded.balance_holder,
      balance = excluded.balance,
      last_modified_ledger = excluded.last_modified_ledger,
      deleted = excluded.deleted,
      ledger_sequence = excluded.ledger_sequence,
      change_index = excluded.change_index,
      closed_at = excluded.closed_at,
      key_xdr = excluded.key_xdr,
      val_xdr = excluded.val_xdr,
      contract_instance_type = excluded.contract_instance_type,
      contract_instance_wasm_hash = excluded.contract_instance_wasm_hash,
      expiration_ledger_seq = excluded.expiration_ledger_seq
    where (k.ledger_sequence, k.change_index) < (excluded.ledger_sequence, excluded.change_index);
  end if;

  update contract_data.ingestion_progress set folded = true
  where id = any (window_ids) and status = 'completed' and not folded;
  get diagnostics folded_windows = row_count;
  return folded_windows;
end $$;
comment on function contract_data.fold_windows(bigint[]) is 'Brings key_states and contract_assets up to the given completed windows.';

-- Removes the rows that the caller's transaction is replacing: those of other batches in a completed window whose progress
-- row this very transaction has rewritten. SECURITY DEFINER, so that the loader can replace history and not delete it.
create function contract_data.remove_replaced_rows(window_id bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  low bigint;
  high bigint;
  batch uuid;
  removed bigint;
begin
  select start_ledger, end_ledger, batch_id into low, high, batch from contract_data.ingestion_progress
  where id = window_id and status = 'completed' and xmin = pg_current_xact_id()::xid;
  if not found then
    raise exception 'remove_replaced_rows: window % is not one that this transaction replaces', window_id using errcode = '55000';
  end if;
  delete from contract_data.entries where ledger_sequence between low and high and batch_id <> batch;
  get diagnostics removed = row_count;
  return removed;
end $$;
revoke all on function contract_data.remove_replaced_rows(bigint) from public;
comment on function contract_data.remove_replaced_rows(bigint) is 'Removes the old rows of a window, in the transaction that replaces it.';

-- Folds the keys in the temporary table replaced_keys (ledger_key_hash, contract_id) anew, from the whole history: what a
-- replaced window had as the newest change of a key may be gone. Called in the transaction that replaces the window.
create function contract_data.refold_replaced_keys(start_ledger bigint, end_ledger bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64MB' set jit = off as $$
declare
  unfolded int8multirange;
  states bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  perform contract_data.learn_assets(int8multirange(int8range(start_ledger, end_ledger, '[]')));
  select coalesce(range_agg(int8range(p.start_ledger, p.end_ledger, '[]')), '{}') into unfolded
  from contract_data.ingestion_progress p where p.status = 'completed' and not p.folded;

  delete from contract_data.key_states k using pg_temp.replaced_keys r where k.ledger_key_hash = r.ledger_key_hash;
  with contracts as materialized (
    select distinct contract_id from pg_temp.replaced_keys
  ), newest as materialized (
    select e.contract_id, max(e.ledger_sequence * 2147483648 + e.change_index) as place
    from contracts c
    join contract_data.entries e on e.contract_id = c.contract_id
    join pg_temp.replaced_keys r on r.ledger_key_hash = e.ledger_key_hash
    where not unfolded @> e.ledger_sequence
    group by e.contract_id, e.ledger_key_hash
  )
  insert into contract_data.key_states (
      ledger_key_hash, contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
      balance_holder, balance, last_modified_ledger, deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr,
      contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq)
  select
      n.ledger_key_hash, n.contract_id, n.contract_key_type, n.contract_durability, a.asset_code, a.asset_issuer, a.asset_type,
      n.balance_holder, n.balance, n.last_modified_ledger, n.deleted, n.ledger_sequence, n.change_index, n.closed_at,
      n.key_xdr, n.val_xdr, n.contract_instance_type, n.contract_instance_wasm_hash, n.expiration_ledger_seq
  from newest
  join contract_data.entries n
    on n.contract_id = newest.contract_id -- by the index on (contract_id, ledger_sequence)
    and n.ledger_sequence = newest.place / 2147483648 and n.change_index = newest.place % 2147483648
  left join contract_data.contract_assets a on n.balance_holder is not null and a.contract_id = n.contract_id
  order by n.ledger_key_hash;
  get diagnostics states = row_count;
  return states;
end $$;
comment on function contract_data.refold_replaced_keys(bigint, bigint) is 'Folds the keys of a replaced window anew, from the whole history.';

-- Folds completed windows that are not folded yet, lowest ledgers first: about max_rows rows' worth of them, of one
-- partition, so that a pass never reads more than it has to.
create function contract_data.fold_pending(max_rows bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  ids bigint[];
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select array_agg(id) into ids from (
    select
      id,
      start_ledger / partition_ledgers as part,
      first_value(start_ledger / partition_ledgers) over (order by start_ledger) as first_part,
      sum(entries_processed) over (order by start_ledger) - entries_processed as rows_before
    from contract_data.ingestion_progress, contract_data.settings
    where status = 'completed' and not folded
  ) pending where part = first_part and rows_before < max_rows;
  return case when ids is null then 0 else contract_data.fold_windows(ids) end;
end $$;
comment on function contract_data.fold_pending(bigint) is 'Folds completed windows that are not folded yet, about max_rows rows at once; returns how many windows.';

-- Rebuilds the fold from the whole history, in one transaction: readers see the old state or the new.
create function contract_data.refresh_current_states() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  states bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  delete from contract_data.key_states;
  delete from contract_data.contract_assets where learnt_from = 'instance';
  update contract_data.ingestion_progress set folded = false where status = 'completed' and folded;
  while contract_data.fold_pending(500000) > 0 loop
  end loop;
  select count(*) into states from contract_data.current_states;
  return states;
end $$;
comment on function contract_data.refresh_current_states() is 'Rebuilds key_states and contract_assets from entries; returns the number of current states.';
