-- A strkey (SEP-23) of a payload of any length, several times as fast as strkey(): version, payload and the CRC-16/XMODEM of
-- both, low byte first, in base32.
create or replace function contract_data.encode_strkey(version integer, payload bytea) returns text
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  bytes bytea := set_byte('\x00', 0, version) || payload;
  size constant integer := length(bytes) + 2;
  crc integer := 0;
  bits bigint;
  sixes bytea := '';
begin
  -- Two bytes at a time; 0 in front of an odd number of bytes changes nothing.
  if size % 2 = 1 then
    bytes := '\x00'::bytea || bytes;
  end if;
  for at in 0 .. length(bytes) - 2 by 2 loop
    crc := crc # (get_byte(bytes, at) << 8) # get_byte(bytes, at + 1);
    -- what x^16 + x^12 + x^5 + 1 is multiplied by, to take from these 16 bits followed by 16 zeros
    crc := crc # (crc >> 4) # (crc >> 8) # (crc >> 11) # (crc >> 12);
    crc := ((crc << 12) # (crc << 5) # crc) & 65535;
  end loop;
  -- In base64, groups of 6 bits that begin with 0 are written A to Z, a to f: as base32, but for the alphabet's end. So
  -- 0 goes in front of every 5 bits, of 40 at a time: 20 and 20 move apart, then 10 and 10, then 5 and 5.
  bytes := substr(bytes, 1 + size % 2) || set_byte(set_byte('\x000000000000', 0, crc & 255), 1, crc >> 8);
  for at in 0 .. size - 1 by 5 loop
    bits := (get_byte(bytes, at)::bigint << 32) | (contract_data.xdr_int32(bytes, at + 1) & 4294967295);
    bits := ((bits & x'fffff00000'::bigint) << 4) | (bits & x'fffff'::bigint);
    bits := ((bits & x'0ffc000ffc00'::bigint) << 2) | (bits & x'0003ff0003ff'::bigint);
    bits := ((bits & x'3e03e03e03e0'::bigint) << 1) | (bits & x'01f01f01f01f'::bigint);
    sixes := sixes || substr(int8send(bits), 3);
  end loop;
  return left(translate(encode(sixes, 'base64'), 'abcdef', '234567'), (size * 8 + 4) / 5);
end $$;
comment on function contract_data.encode_strkey(integer, bytea) is
  'The strkey of a payload of any length; the version is 8 times the place of the first letter: 16 gives C…, 48 G…, 96 M….';
