-- The 32 bytes of a strkey of the given version; null for any other text.
create or replace function contract_data.strkey_payload(version integer, strkey text) returns bytea
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  bits text;
  payload bytea;
begin
  if strkey !~ '^[A-Z2-7]{56}$' then
    return null;
  end if;
  select string_agg((strpos('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', substr(strkey, n, 1)) - 1)::bit(5)::text, '' order by n)
  into bits from generate_series(1, 56) n;
  -- behind the byte of the version
  select decode(string_agg(lpad(to_hex(substr(bits, 8 * n + 1, 8)::bit(8)::integer), 2, '0'), '' order by n), 'hex')
  into payload from generate_series(1, 32) n;
  return case when contract_data.strkey(version, payload) = strkey then payload end;
end $$;
comment on function contract_data.strkey_payload(integer, text) is
  'The 32 bytes of a strkey of this version (16: C…, 48: G…), checksum verified; null for any other text.';
