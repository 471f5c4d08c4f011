-- For queries on the history, where nothing tells of later extensions: current_states knows more.
create or replace function contract_data.liveness(expiration_ledger_seq bigint, at_ledger bigint) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select case when expiration_ledger_seq >= at_ledger then 'live' else 'unknown' end
$$;
comment on function contract_data.liveness(bigint, bigint) is
  'live, if an entry whose time to live ended with expiration_ledger_seq, or later, lives in at_ledger; else unknown: it may have been extended.';
