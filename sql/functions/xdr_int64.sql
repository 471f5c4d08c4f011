-- Without `set search_path`, so that it becomes a part of the expression that calls it.
create or replace function contract_data.xdr_int64(bytes bytea, at integer) returns bigint
language sql immutable strict parallel safe as $$
  select (contract_data.xdr_int32(bytes, at)::bigint << 32) | (contract_data.xdr_int32(bytes, at + 4) & 4294967295)
$$;
comment on function contract_data.xdr_int64(bytea, integer) is 'The signed 64-bit number at this byte.';
