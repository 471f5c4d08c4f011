-- Neither strict nor with `set search_path`, so that this becomes a part of the expression that calls it.
create or replace function contract_data.xdr_address(bytes bytea, at integer) returns text
language sql immutable parallel safe as $$
  select case contract_data.xdr_int32(bytes, at)
    -- The key of an account and the id of a claimable balance have a type of their own, which is always 0.
    when 0 then case contract_data.xdr_int32(bytes, at + 4) when 0 then contract_data.encode_strkey(48, substr(bytes, at + 9, 32)) end
    when 3 then case contract_data.xdr_int32(bytes, at + 4) when 0 then contract_data.encode_strkey(8, '\x00' || substr(bytes, at + 9, 32)) end
    when 1 then contract_data.encode_strkey(16, substr(bytes, at + 5, 32))
    when 4 then contract_data.encode_strkey(88, substr(bytes, at + 5, 32))
    -- The id in front of a muxed address stands behind it in the strkey.
    when 2 then contract_data.encode_strkey(96, substr(bytes, at + 13, 32) || substr(bytes, at + 5, 8))
    when 5 then contract_data.encode_strkey(176, substr(bytes, at + 13, 32) || substr(bytes, at + 5, 8))
  end
$$;
comment on function contract_data.xdr_address(bytea, integer) is
  'The strkey of the SCAddress at this byte: account (G…), contract (C…), muxed account (M…), claimable balance (B…), liquidity pool (L…) or muxed contract (W…); null if its type is unknown.';
