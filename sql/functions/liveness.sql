create or replace function contract_data.liveness(expiration_ledger_seq bigint, at_ledger bigint) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select case
    when expiration_ledger_seq is null or at_ledger is null then 'unknown'
    when expiration_ledger_seq >= at_ledger then 'live'
    else 'expired'
  end
$$;
comment on function contract_data.liveness(bigint, bigint) is
  'live, expired or unknown: whether an entry whose TTL ends with expiration_ledger_seq lives in at_ledger.';
