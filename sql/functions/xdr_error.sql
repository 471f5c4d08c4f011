-- Neither strict nor with `set search_path`, so that this becomes a part of the expression that calls it.
create or replace function contract_data.xdr_error(bytes bytea, at integer) returns text
language sql immutable parallel safe as $$
  select case contract_data.xdr_int32(bytes, at)
    when 0 then '{"contract":' || (contract_data.xdr_int32(bytes, at + 4) & 4294967295)::text || '}'
    else '{"'
      || ('[1:9]={wasm_vm,context,storage,object,crypto,events,budget,value,auth}'::text[])[contract_data.xdr_int32(bytes, at)]
      || '":"'
      || ('[0:9]={arith_domain,index_bounds,invalid_input,missing_value,existing_value,exceeded_limit,invalid_action,
          internal_error,unexpected_type,unexpected_size}'::text[])[contract_data.xdr_int32(bytes, at + 4)]
      || '"}'
  end
$$;
comment on function contract_data.xdr_error(bytea, integer) is 'The SCError at this byte as JSON; null if it is unknown.';
