-- The reverse of xdr_address, for a contract or an account; several times as fast as strkey_payload, because it does not verify the
-- checksum.
create or replace function contract_data.strkey_xdr(strkey text) returns bytea
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  sixes bytea;
  bits bigint;
  bytes bytea := '';
begin
  if strkey collate "C" !~ '^[CG][A-Z2-7]{55}$' then
    return null;
  end if;
  -- In base64 each letter stands for 6 bits, of which the first is 0: of 48 bits at a time, 40 are left.
  sixes := decode(translate(strkey, '234567', 'abcdef'), 'base64');
  for at in 0 .. 36 by 6 loop
    bits := (contract_data.xdr_int32('\x0000'::bytea || substr(sixes, at + 1, 2), 0)::bigint << 32)
      | (contract_data.xdr_int32(sixes, at + 2) & 4294967295);
    bits := ((bits >> 1) & x'3e03e03e03e0'::bigint) | (bits & x'01f01f01f01f'::bigint);
    bits := ((bits >> 2) & x'0ffc000ffc00'::bigint) | (bits & x'0003ff0003ff'::bigint);
    bits := ((bits >> 4) & x'fffff00000'::bigint) | (bits & x'fffff'::bigint);
    bytes := bytes || substr(int8send(bits), 4);
  end loop;
  return case left(strkey, 1) when 'C' then '\x00000001'::bytea else '\x0000000000000000'::bytea end || substr(bytes, 2, 32);
end $$;
comment on function contract_data.strkey_xdr(text) is
  'The XDR of the SCAddress of a contract (C…) or an account (G…), without a look at the checksum; null for any other text.';
