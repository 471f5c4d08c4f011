create or replace function contract_data.xdr_escaped(bytes bytea) returns text
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
  select coalesce(string_agg(
    case byte
      when 0 then '\\0'
      when 9 then '\\t'
      when 10 then '\\n'
      when 13 then '\\r'
      when 34 then '\"'
      when 92 then '\\\\'
      else case when byte between 32 and 126 then chr(byte) else '\\x' || lpad(to_hex(byte), 2, '0') end
    end, '' order by at), '')
  from (select at, get_byte(bytes, at) as byte from generate_series(0, length(bytes) - 1) at) b
$$;
comment on function contract_data.xdr_escaped(bytea) is
  'A text of the chain as it stands in a string of JSON: what is not printable ASCII escaped as SEP-51 says, then \ and " as JSON says.';
