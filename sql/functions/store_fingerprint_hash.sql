-- Adds the hash of the header of the fingerprint's ledger, whose rows the source has just been found to share; once.
create or replace function contract_data.store_fingerprint_hash(p_ledger bigint, p_hash text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if p_hash is null or p_hash !~ '^[0-9a-f]{64}$' then
    raise exception 'store_fingerprint_hash: % is no hash', p_hash using errcode = '22023';
  end if;
  update contract_data.settings set fingerprint_hash = p_hash where fingerprint_ledger = p_ledger and fingerprint_hash is null;
end $$;
revoke all on function contract_data.store_fingerprint_hash(bigint, text) from public;
comment on function contract_data.store_fingerprint_hash(bigint, text) is
  'Stores the hash of the header of the fingerprint''s ledger, unless one is stored.';
