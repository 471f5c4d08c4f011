-- The loader writes progress and state through functions with the owner's rights, which check what they are asked; itself it only
-- inserts entries. A loader of an earlier release writes these tables directly: it is refused from now on.
--
-- Nothing is at work on these tables while they are locked: first the loads end, then the fold, the order that holds everywhere.
select pg_advisory_xact_lock(hashtextextended('contract_data.load', 0));
select pg_advisory_xact_lock(hashtextextended('contract_data.fold', 0));

alter table contract_data.settings alter column oldest_loader set default 4;
update contract_data.settings set oldest_loader = 4 where oldest_loader < 4;

-- Unlogged: its rows never outlive their transaction.
create unlogged table contract_data.replaced_keys (
  ledger_key_hash text collate "C" not null,
  contract_id text collate "C" not null,
  constraint replaced_keys_pkey primary key (ledger_key_hash)
);

comment on table contract_data.replaced_keys is 'The keys of a window that is being replaced; empty outside of that transaction.';
comment on column contract_data.replaced_keys.ledger_key_hash is 'Hex SHA-256 of the LedgerKey XDR.';
comment on column contract_data.replaced_keys.contract_id is 'Strkey (C…) of the contract.';

-- Only loaders that are refused now called these.
-- squawk-ignore ban-drop-function
drop function if exists contract_data.remove_replaced_rows(bigint);
-- squawk-ignore ban-drop-function
drop function if exists contract_data.refold_replaced_keys(bigint, bigint);
delete from contract_data.schema_functions where name in ('remove_replaced_rows', 'refold_replaced_keys');

-- A trigger cannot be created without its function: `migrate` replaces these bodies by those of sql/functions.
create function contract_data.check_replaced_window() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'the functions of this schema are missing: run `ingestctl migrate`' using errcode = '55000';
end $$;

create constraint trigger ingestion_progress_replaced
  after update of batch_id on contract_data.ingestion_progress deferrable initially deferred
  for each row when (new.status = 'completed' and old.status = 'completed' and new.batch_id <> old.batch_id)
  execute function contract_data.check_replaced_window();

create function contract_data.refuse_unclaimed_rows() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'the functions of this schema are missing: run `ingestctl migrate`' using errcode = '55000';
end $$;

create trigger entries_claimed before insert on contract_data.entries
  for each statement execute function contract_data.refuse_unclaimed_rows();

-- Rows of entries have no key. Where a publication covers all tables, a row without an identity cannot be deleted, and
-- `replay --force` deletes rows. Full: the whole row; it costs only where rows go, and only with wal_level = logical.
alter table contract_data.entries replica identity full;
do $$
declare
  part regclass;
begin
  for part in
    select c.oid from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'contract_data.entries'::regclass order by c.relname
  loop
    execute format('alter table %s replica identity full', part);
  end loop;
end $$;
