-- Without `set search_path`, so that it becomes a part of the expression that calls it.
create or replace function contract_data.xdr_int32(bytes bytea, at integer) returns integer
language sql immutable strict parallel safe as $$
  select (get_byte(bytes, at) << 24) | (get_byte(bytes, at + 1) << 16) | (get_byte(bytes, at + 2) << 8) | get_byte(bytes, at + 3)
$$;
comment on function contract_data.xdr_int32(bytea, integer) is
  'The signed 32-bit number at this byte. With & 4294967295, the unsigned one.';
