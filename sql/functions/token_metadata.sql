-- Most instances are of no token. The symbol METADATA stands at a multiple of 4 bytes, so it is one of three texts in base64:
-- looking for these takes a hundredth of the time of decoding the instance.
create or replace function contract_data.token_metadata(instance_xdr text)
returns table (symbol text, name text, decimals integer)
language plpgsql immutable strict rows 1 set search_path = pg_catalog, pg_temp as $$
declare
  metadata jsonb;
begin
  if strpos(instance_xdr, 'AADwAAAAhNRVRBREFUQ') = 0 and strpos(instance_xdr, 'AAA8AAAAITUVUQURBVE') = 0
    and strpos(instance_xdr, 'AAAPAAAACE1FVEFEQVRB') = 0 then
    return;
  end if;
  begin
    select jsonb_object_agg(f.field -> 'key' ->> 'symbol', f.field -> 'val') filter (where f.field -> 'key' ? 'symbol')
    into metadata
    from jsonb_path_query(
      contract_data.scval(instance_xdr),
      'strict $.contract_instance.storage[*] ? (@.key.symbol == "METADATA").val.map[*]', silent => true) f (field);
  exception when invalid_parameter_value then
    return; -- not an SCVal
  end;
  symbol := metadata -> 'symbol' ->> 'string';
  name := metadata -> 'name' ->> 'string';
  -- An i128 has no more than 39 digits.
  if symbol is not null and (metadata -> 'decimal' ->> 'u32')::bigint between 0 and 38 then
    decimals := metadata -> 'decimal' ->> 'u32';
    return next;
  end if;
end $$;
comment on function contract_data.token_metadata(text) is
  'What the instance of a token says under METADATA: one row, with symbol, name and decimals, the texts as scval writes them; none if it says no symbol, or not from 0 to 38 decimals.';
