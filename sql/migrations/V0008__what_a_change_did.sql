-- What a change did to its entry, where the source says it, and the balances of tokens whose contract is not a Stellar asset contract,
-- which the loader decodes. Windows that were loaded before have neither, until they are replaced.
alter table contract_data.settings alter column oldest_loader set default 8;
update contract_data.settings set oldest_loader = 8;

-- A number of the network's XDR, from 0 to 4.
alter table contract_data.entries
  -- squawk-ignore prefer-bigint-over-smallint
  add column ledger_entry_change smallint,
  add column token_holder text collate "C",
  add column token_amount numeric(39, 0);
alter table contract_data.retained_states
  -- squawk-ignore prefer-bigint-over-smallint
  add column ledger_entry_change smallint,
  add column token_holder text collate "C",
  add column token_amount numeric(39, 0);
alter table contract_data.key_states
  -- squawk-ignore prefer-bigint-over-smallint
  add column ledger_entry_change smallint,
  add column token_holder text collate "C",
  add column token_amount numeric(39, 0);

do $$
declare
  relation text;
begin
  foreach relation in array array['entries', 'retained_states', 'key_states'] loop
    execute format(
      'comment on column contract_data.%I.ledger_entry_change is %L', relation,
      'What the change did: 0 created, 1 updated, 2 removed, 4 restored the entry; null where the source does not say.');
    execute format(
      'comment on column contract_data.%I.token_holder is %L', relation,
      'Strkey of the holder, on balance entries of tokens that are not of SAC shape: those have balance_holder.');
    execute format(
      'comment on column contract_data.%I.token_amount is %L', relation,
      'Exact amount in the token''s smallest unit, where token_holder is set.');
  end loop;
end $$;

-- The holders of any token, the largest first. Not concurrently: a migration is one transaction. Loads wait for it, readers do not.
-- squawk-ignore require-concurrent-index-creation
create index key_states_token_holders on contract_data.key_states (contract_id, coalesce(token_amount, balance) desc)
  where coalesce(token_holder, balance_holder) is not null and not deleted;
