-- Retention: old partitions of entries may go, and the fold still knows what they said. First settings.retained_from is
-- committed: from then on nothing is loaded below it. Then, partition by partition, the last version of each key goes into
-- retained_states and settings.condensed_to moves up, in one transaction. Only what lies below condensed_to is dropped.
-- The history, for everything that folds, is therefore: retained_states, then entries from condensed_to on.

alter table contract_data.settings
  add column retained_from bigint,
  add column condensed_to bigint,
  add constraint settings_retained_from_check check (retained_from > 0 and retained_from % partition_ledgers = 0),
  add constraint settings_condensed_to_check
    check (condensed_to is null or condensed_to % partition_ledgers = 0 and coalesce(condensed_to <= retained_from, false));
comment on column contract_data.settings.retained_from is
  'The first ledger of the history that is kept: nothing is loaded below it. Null: everything is kept. It never falls.';
comment on column contract_data.settings.condensed_to is
  'Below this ledger, entries are not read any more: retained_states holds what they said last. Never above retained_from.';

alter table contract_data.contract_assets add column retained boolean not null default false;
comment on column contract_data.contract_assets.retained is
  'True once an instance row that said so is below settings.condensed_to: a refresh keeps the asset.';

create table contract_data.retained_states (
  ledger_key_hash text collate "C" not null,
  contract_id text collate "C" not null,
  contract_key_type text collate "C" not null,
  contract_durability text collate "C" not null,
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
  constraint retained_states_pkey primary key (ledger_key_hash)
);
comment on table contract_data.retained_states is
  'The last change of every ledger key below settings.condensed_to, deletions included: what the fold needs of partitions that retention drops. Read current_states instead.';
comment on column contract_data.retained_states.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR: the identity of the entry.';
comment on column contract_data.retained_states.contract_id is 'Strkey (C…) of the contract that owns the entry.';
comment on column contract_data.retained_states.contract_key_type is 'Type of the key.';
comment on column contract_data.retained_states.contract_durability is 'ContractDataDurabilityPersistent or ContractDataDurabilityTemporary.';
comment on column contract_data.retained_states.balance_holder is 'Strkey of the holder, on balances.';
comment on column contract_data.retained_states.balance is 'Exact amount in the smallest unit, on balances.';
comment on column contract_data.retained_states.last_modified_ledger is 'Ledger of the modification; on a deletion, of the one before it.';
comment on column contract_data.retained_states.deleted is 'True where that change removed the entry.';
comment on column contract_data.retained_states.ledger_sequence is 'The ledger of that change.';
comment on column contract_data.retained_states.change_index is 'Its position in that ledger.';
comment on column contract_data.retained_states.closed_at is 'When that ledger closed (UTC instant).';
comment on column contract_data.retained_states.key_xdr is 'Base64 XDR of the SCVal key.';
comment on column contract_data.retained_states.val_xdr is 'Base64 XDR of the SCVal value.';
comment on column contract_data.retained_states.contract_instance_type is 'wasm or stellar_asset, on instance entries.';
comment on column contract_data.retained_states.contract_instance_wasm_hash is 'Hex hash of the contract code, on wasm instances.';
comment on column contract_data.retained_states.expiration_ledger_seq is 'The last ledger in which the entry lives unless extended; see liveness().';

-- Nothing is recorded as loaded below retained_from, whoever writes, loaders of an earlier release included. The trigger
-- reads the boundary anew when the row is written: see retain_from for what is under way at that moment.
create function contract_data.refuse_unretained_window() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  boundary bigint;
begin
  select retained_from into boundary from contract_data.settings;
  if new.start_ledger < boundary then
    raise exception 'ledgers % to % are not retained: this database keeps ledgers from % on',
      new.start_ledger, new.end_ledger, boundary using errcode = '55000';
  end if;
  return new;
end $$;
comment on function contract_data.refuse_unretained_window() is 'Refuses completed windows below settings.retained_from.';
create trigger ingestion_progress_retained
  before insert or update of status, batch_id, start_ledger, end_ledger on contract_data.ingestion_progress
  for each row when (new.status = 'completed') execute function contract_data.refuse_unretained_window();

-- As before, and null for a ledger that is not retained: its partition has gone, or is going, and is not made again.
create or replace function contract_data.ensure_partition(ledger bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  size bigint;
  boundary bigint;
  low bigint;
  high bigint;
  name text;
begin
  if ledger is null or ledger not between 0 and 4294967295 then
    raise exception 'ensure_partition: % is no ledger', ledger using errcode = '22023';
  end if;
  select partition_ledgers, retained_from into strict size, boundary from contract_data.settings;
  if ledger < boundary then
    return null;
  end if;
  low := ledger - ledger % size;
  high := low + size;
  name := 'entries_' || lpad(low::text, 10, '0');
  if exists (select from pg_class where relnamespace = 'contract_data'::regnamespace and relname = name) then
    return name;
  end if;
  -- One creator at a time; who waited finds the partition made, by a query: to_regclass would remember that it was not.
  perform pg_advisory_xact_lock(hashtextextended('contract_data.ensure_partition', 0));
  -- retain_from commits under this lock: either it finds the partition made, or this finds the boundary.
  if exists (select from contract_data.settings where ledger < retained_from) then
    return null;
  end if;
  if not exists (select from pg_class where relnamespace = 'contract_data'::regnamespace and relname = name) then
    execute format(
      'create table contract_data.%I (like contract_data.entries including all, constraint %I check (ledger_sequence >= %s and ledger_sequence < %s))',
      name, name || '_ledgers', low, high);
    execute format(
      'alter table contract_data.entries attach partition contract_data.%I for values from (%s) to (%s)', name, low, high);
    execute format('alter table contract_data.%I drop constraint %I', name, name || '_ledgers');
  end if;
  return name;
end $$;
comment on function contract_data.ensure_partition(bigint) is
  'Makes the partition of entries that a ledger falls in, if it is missing; returns its name, or null below settings.retained_from.';

-- BRIN summaries of new pages, and statistics where there are none or enough has changed. Returns whether there was
-- anything to do.
create function contract_data.tend_table(part regclass) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  index_name regclass;
  summarised bigint := 0;
  changed bigint;
  live bigint;
  analysed timestamptz;
begin
  for index_name in
    select i.indexrelid::regclass from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_am a on a.oid = c.relam
    where i.indrelid = part and a.amname = 'brin'
  loop
    summarised := summarised + brin_summarize_new_values(index_name);
  end loop;
  select n_mod_since_analyze, n_live_tup, greatest(last_analyze, last_autoanalyze)
    into changed, live, analysed from pg_stat_all_tables where relid = part;
  if analysed is null and pg_relation_size(part) > 0 or changed > 10000 + live / 10 then
    execute format('analyze %s', part);
    return true;
  end if;
  return summarised > 0;
end $$;
comment on function contract_data.tend_table(regclass) is 'BRIN summaries and statistics of one partition, where they are missing or old.';

create or replace function contract_data.tend_partition(ledger bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5min' as $$
declare
  part regclass := to_regclass('contract_data.' || contract_data.ensure_partition(ledger));
begin
  if part is null then
    return; -- not retained
  end if;
  -- One at a time: each locks its partition, then, for the parent's statistics, all of them.
  perform pg_advisory_xact_lock(hashtextextended('contract_data.tend_partition', 0));
  perform contract_data.tend_table(part);
  if not exists (
    select from pg_stat_all_tables
    where relid = 'contract_data.entries'::regclass and last_analyze > now() - interval '1 day'
  ) then
    analyze contract_data.entries;
  end if;
end $$;

-- Commits, with the caller's transaction, that ledgers below the boundary are not retained: a multiple of
-- partition_ledgers, at most that of the newest completed ledger. It never falls: a lower boundary changes nothing. Windows
-- that failed below it are forgotten. Returns the boundary that holds then.
--
-- What may be under way at that moment, and why no half of it stays:
-- * A load that claims its window after this commit is refused, by its claim or by the trigger.
-- * One that has claimed before may still commit its rows below the boundary. It has held the advisory lock of loads since
--   before its claim, so whoever condenses waits, after this commit, until those who hold that lock now have ended; later
--   holders claim later. Loads are not held up for it. A replacement holds the same lock.
-- * ensure_partition either has made its partition before this commit, which the drop then finds, or reads the boundary
--   again under the lock that is taken here.
create function contract_data.retain_from(boundary bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  newest bigint;
  size bigint;
  result bigint;
begin
  select partition_ledgers into strict size from contract_data.settings;
  select max(end_ledger) into newest from contract_data.ingestion_progress where status = 'completed';
  if boundary is null or boundary % size <> 0 or newest is null or boundary > newest then
    raise exception 'retain_from: % is no multiple of % up to the newest ledger, %', boundary, size, newest
      using errcode = '22023';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('contract_data.ensure_partition', 0));
  update contract_data.settings set retained_from = boundary
  where boundary > 0 and (retained_from is null or retained_from < boundary);
  select retained_from into result from contract_data.settings;
  delete from contract_data.ingestion_progress where status = 'failed' and end_ledger < result;
  return result;
end $$;
comment on function contract_data.retain_from(bigint) is 'Sets settings.retained_from, if it rises by that; returns what holds.';

-- Puts the last version of each key of one partition below retained_from into retained_states, in one sorted pass, and
-- moves condensed_to behind it. Lowest partition first. The rows do not change any more (see retain_from), so the fold's
-- lock, without which nobody may move condensed_to under a fold's feet, is taken last and held for a moment. A second time,
-- and killed anywhere, it does the same. Returns how many keys were written.
create function contract_data.condense_partition(low bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64MB' set jit = off as $$
declare
  high bigint;
  states bigint;
begin
  select low + partition_ledgers into high from contract_data.settings
  where low % partition_ledgers = 0 and low + partition_ledgers <= retained_from and low >= coalesce(condensed_to, 0);
  if not found then
    raise exception 'condense_partition: the partition from ledger % is retained, or condensed already', low
      using errcode = '55000';
  end if;
  if exists (
    select from contract_data.entries e, contract_data.settings s
    where e.ledger_sequence >= coalesce(s.condensed_to, 0) and e.ledger_sequence < low
  ) then
    raise exception 'condense_partition: lower partitions than the one from ledger % come first', low using errcode = '55000';
  end if;
  insert into contract_data.retained_states as r (
    ledger_key_hash, contract_id, contract_key_type, contract_durability, balance_holder, balance, last_modified_ledger,
    deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr, contract_instance_type,
    contract_instance_wasm_hash, expiration_ledger_seq)
  select distinct on (e.ledger_key_hash)
    e.ledger_key_hash, e.contract_id, e.contract_key_type, e.contract_durability, e.balance_holder, e.balance,
    e.last_modified_ledger, e.deleted, e.ledger_sequence, e.change_index, e.closed_at, e.key_xdr, e.val_xdr,
    e.contract_instance_type, e.contract_instance_wasm_hash, e.expiration_ledger_seq
  from contract_data.entries e
  where e.ledger_sequence >= low and e.ledger_sequence < high
  order by e.ledger_key_hash, e.ledger_sequence desc, e.change_index desc
  on conflict (ledger_key_hash) do update set
    contract_id = excluded.contract_id,
    contract_key_type = excluded.contract_key_type,
    contract_durability = excluded.contract_durability,
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
  where (r.ledger_sequence, r.change_index) < (excluded.ledger_sequence, excluded.change_index);
  get diagnostics states = row_count;

  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  if exists (
    select from contract_data.ingestion_progress where status = 'completed' and not folded and start_ledger < high
  ) then
    raise exception 'condense_partition: windows below ledger % are not folded yet', high using errcode = '55000';
  end if;
  update contract_data.contract_assets a set retained = true
  where a.learnt_from = 'instance' and not a.retained and exists (
    select from contract_data.entries e
    where e.ledger_sequence >= low and e.ledger_sequence < high and e.asset_type is not null and e.contract_id = a.contract_id);
  update contract_data.settings set condensed_to = high;
  return states;
end $$;
comment on function contract_data.condense_partition(bigint) is
  'Brings retained_states up to a partition below settings.retained_from, which may be dropped then.';

-- As before, from the whole history: where entries have nothing of a key any more, retained_states may. Those are older than
-- every entry that is read.
create or replace function contract_data.refold_replaced_keys(start_ledger bigint, end_ledger bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64MB' set jit = off as $$
declare
  unfolded int8multirange;
  low bigint;
  states bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  perform contract_data.learn_assets(int8multirange(int8range(start_ledger, end_ledger, '[]')));
  select coalesce(range_agg(int8range(p.start_ledger, p.end_ledger, '[]')), '{}') into unfolded
  from contract_data.ingestion_progress p where p.status = 'completed' and not p.folded;
  select coalesce(condensed_to, 0) into low from contract_data.settings;

  delete from contract_data.key_states k using pg_temp.replaced_keys r where k.ledger_key_hash = r.ledger_key_hash;
  with contracts as materialized (
    select distinct contract_id from pg_temp.replaced_keys
  ), newest as materialized (
    select e.contract_id, e.ledger_key_hash, max(e.ledger_sequence * 2147483648 + e.change_index) as place
    from contracts c
    join contract_data.entries e on e.contract_id = c.contract_id
    join pg_temp.replaced_keys r on r.ledger_key_hash = e.ledger_key_hash
    where not unfolded @> e.ledger_sequence and e.ledger_sequence >= low
    group by e.contract_id, e.ledger_key_hash
  ), versions as (
    select
      n.ledger_key_hash, n.contract_id, n.contract_key_type, n.contract_durability, n.balance_holder, n.balance,
      n.last_modified_ledger, n.deleted, n.ledger_sequence, n.change_index, n.closed_at, n.key_xdr, n.val_xdr,
      n.contract_instance_type, n.contract_instance_wasm_hash, n.expiration_ledger_seq
    from newest
    join contract_data.entries n
      on n.contract_id = newest.contract_id -- by the index on (contract_id, ledger_sequence)
      and n.ledger_sequence = newest.place / 2147483648 and n.change_index = newest.place % 2147483648
    where n.ledger_sequence >= low
    union all
    select
      s.ledger_key_hash, s.contract_id, s.contract_key_type, s.contract_durability, s.balance_holder, s.balance,
      s.last_modified_ledger, s.deleted, s.ledger_sequence, s.change_index, s.closed_at, s.key_xdr, s.val_xdr,
      s.contract_instance_type, s.contract_instance_wasm_hash, s.expiration_ledger_seq
    from pg_temp.replaced_keys r
    join contract_data.retained_states s on s.ledger_key_hash = r.ledger_key_hash
    where not exists (select from newest where newest.ledger_key_hash = r.ledger_key_hash)
  )
  insert into contract_data.key_states (
      ledger_key_hash, contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
      balance_holder, balance, last_modified_ledger, deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr,
      contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq)
  select
      n.ledger_key_hash, n.contract_id, n.contract_key_type, n.contract_durability, a.asset_code, a.asset_issuer, a.asset_type,
      n.balance_holder, n.balance, n.last_modified_ledger, n.deleted, n.ledger_sequence, n.change_index, n.closed_at,
      n.key_xdr, n.val_xdr, n.contract_instance_type, n.contract_instance_wasm_hash, n.expiration_ledger_seq
  from versions n
  left join contract_data.contract_assets a on n.balance_holder is not null and a.contract_id = n.contract_id
  order by n.ledger_key_hash;
  get diagnostics states = row_count;
  return states;
end $$;

-- As before, on top of retained_states: what is below condensed_to stays folded, for that is what it holds.
create or replace function contract_data.refresh_current_states() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  low bigint;
  states bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));
  select coalesce(condensed_to, 0) into low from contract_data.settings;
  delete from contract_data.key_states;
  delete from contract_data.contract_assets where learnt_from = 'instance' and not retained;
  insert into contract_data.key_states (
      ledger_key_hash, contract_id, contract_key_type, contract_durability, asset_code, asset_issuer, asset_type,
      balance_holder, balance, last_modified_ledger, deleted, ledger_sequence, change_index, closed_at, key_xdr, val_xdr,
      contract_instance_type, contract_instance_wasm_hash, expiration_ledger_seq)
  select
      s.ledger_key_hash, s.contract_id, s.contract_key_type, s.contract_durability, a.asset_code, a.asset_issuer, a.asset_type,
      s.balance_holder, s.balance, s.last_modified_ledger, s.deleted, s.ledger_sequence, s.change_index, s.closed_at,
      s.key_xdr, s.val_xdr, s.contract_instance_type, s.contract_instance_wasm_hash, s.expiration_ledger_seq
  from contract_data.retained_states s
  left join contract_data.contract_assets a on s.balance_holder is not null and a.contract_id = s.contract_id
  order by s.ledger_key_hash;
  update contract_data.ingestion_progress set folded = false where status = 'completed' and folded and start_ledger >= low;
  while contract_data.fold_pending(500000) > 0 loop
  end loop;
  select count(*) into states from contract_data.current_states;
  return states;
end $$;
comment on function contract_data.refresh_current_states() is
  'Rebuilds key_states and contract_assets from retained_states and entries; returns the number of current states.';

create or replace view contract_data.ledger_gaps as
select start_ledger, end_ledger, end_ledger - start_ledger + 1 as ledgers
from (
  select
    greatest(end_ledger + 1, (select retained_from from contract_data.settings)) as start_ledger,
    lead(start_ledger) over (order by start_ledger) - 1 as end_ledger
  from contract_data.ingestion_progress where status = 'completed'
) between_windows
where start_ledger <= end_ledger;
comment on view contract_data.ledger_gaps is
  'Ledgers between completed windows that no completed window covers, from settings.retained_from on.';
