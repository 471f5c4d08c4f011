-- The strkey of 32 bytes (SEP-23): version, payload and the CRC-16/XMODEM of both, low byte first, in base32.
create or replace function contract_data.strkey(version integer, payload bytea) returns text
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  bytes bytea := set_byte('\x00', 0, version) || payload;
  crc integer := 0;
  bits bit(280);
begin
  if length(payload) <> 32 then
    return null;
  end if;
  for at in 0..32 loop
    crc := crc # (get_byte(bytes, at) << 8);
    for i in 1..8 loop
      crc := case when crc & 32768 > 0 then (crc << 1) # 4129 else crc << 1 end & 65535;
    end loop;
  end loop;
  bytes := bytes || set_byte('\x00', 0, crc & 255) || set_byte('\x00', 0, crc >> 8);
  bits := ('x' || encode(bytes, 'hex'))::bit(280);
  return (
    select string_agg(substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', substring(bits from 5 * n + 1 for 5)::integer + 1, 1), '' order by n)
    from generate_series(0, 55) n);
end $$;
comment on function contract_data.strkey(integer, bytea) is
  'The strkey of 32 bytes; version 16 gives C…, 48 gives G…. Null if the payload has another length.';
