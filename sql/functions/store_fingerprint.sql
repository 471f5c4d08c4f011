-- Stores the digest of one loaded ledger, unless one is stored. Only replace_window forgets it.
create or replace function contract_data.store_fingerprint(p_ledger bigint, p_digest text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if p_digest !~ '^[0-9a-f]{64}$' or not exists (
    select from contract_data.ingestion_progress
    where status = 'completed' and entries_processed > 0 and start_ledger <= p_ledger and end_ledger >= p_ledger)
  then
    raise exception 'store_fingerprint: ledger % is not loaded, or % is no digest', p_ledger, p_digest using errcode = '22023';
  end if;
  update contract_data.settings set fingerprint_ledger = p_ledger, fingerprint_digest = p_digest where fingerprint_ledger is null;
end $$;
revoke all on function contract_data.store_fingerprint(bigint, text) from public;
comment on function contract_data.store_fingerprint(bigint, text) is 'Stores the digest of one loaded ledger, unless one is stored.';
