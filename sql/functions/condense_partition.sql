-- Puts the last version of each key of one partition below retained_from into retained_states and retained_ttls, each in one sorted
-- pass, and moves condensed_to past it. Lowest partition first. The rows do not change any more (see retain_from), so the lock of the
-- fold is taken last and held briefly: condensed_to must not move during a fold. It can be repeated, also after a crash.
-- Returns the number of keys written.
create or replace function contract_data.condense_partition(low bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64MB' set jit = off as $$
declare
  high bigint;
  columns text;
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
  select string_agg(quote_ident(attname), ', ' order by attnum) into columns
  from pg_attribute where attrelid = 'contract_data.retained_states'::regclass and attnum > 0 and not attisdropped;
  execute format($last$
    insert into contract_data.retained_states as r
    select distinct on (e.ledger_key_hash) e.*
    from contract_data.entries e
    where e.ledger_sequence >= $1 and e.ledger_sequence < $2
    order by e.ledger_key_hash, e.ledger_sequence desc, e.change_index desc
    on conflict (ledger_key_hash) do update set (%s) = row (excluded.*)
    where (r.ledger_sequence, r.change_index) < (excluded.ledger_sequence, excluded.change_index)
  $last$, columns) using low, high;
  get diagnostics states = row_count;
  execute contract_data.fold_ttls_statement('retained_ttls', $changes$
    select * from contract_data.ttl_changes where ledger_sequence >= $1 and ledger_sequence < $2
  $changes$) using low, high;

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
  'Brings retained_states and retained_ttls up to a partition below settings.retained_from, which may be dropped then.';
