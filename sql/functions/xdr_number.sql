create or replace function contract_data.xdr_number(bytes bytea, signed boolean) returns numeric
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  number numeric := case when signed then contract_data.xdr_int32(bytes, 0) else contract_data.xdr_int32(bytes, 0) & 4294967295 end;
begin
  for at in 4 .. length(bytes) - 4 by 4 loop
    number := number * 4294967296 + (contract_data.xdr_int32(bytes, at) & 4294967295);
  end loop;
  return number;
end $$;
comment on function contract_data.xdr_number(bytea, boolean) is 'The number that is all of these bytes, a multiple of 4.';
