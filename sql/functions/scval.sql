-- One pass over the bytes: each value becomes pieces of JSON. The containers around it are on a stack, so nothing recurses.
create or replace function contract_data.scval(xdr text) returns jsonb
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  bytes bytea := decode(xdr, 'base64');
  size constant integer := length(bytes);
  at integer := 0;
  json text[] := '{}';
  piece text;
  type integer;
  external boolean;
  address text;
  count bigint;
  padding integer;
  opaque bytea;
  flag integer;
  -- The innermost container: its type, or 0 outside of all, and how many of its values are still to come.
  container integer := 0;
  remaining bigint := 1;
  -- The containers around it.
  depth integer := 0;
  containers integer[] := '{}';
  remainders bigint[] := '{}';
  -- Nesting as the network counts it: a vec is 4 levels, a map 5, an instance 6, and a value at least 3.
  level integer := 3;
begin
  -- decode() refuses other wrong base64.
  if strpos(rtrim(xdr, E'= \t\r\n'), '=') > 0 then
    raise exception 'not an SCVal: no base64, = is in front of its end' using errcode = '22023';
  end if;
  if size % 4 <> 0 then
    raise exception 'not an SCVal: % bytes are not a multiple of 4', size using errcode = '22023';
  end if;
  -- What is missing at the end reads as 0; it is found to be missing once the value is read. This is longer than an instance.
  bytes := bytes || decode(repeat('00', 64), 'hex');
  loop
    if at >= size then
      raise exception 'not an SCVal: it ends at byte %, where a value should be', at using errcode = '22023';
    end if;
    if level > 500 then
      raise exception 'not an SCVal: the value at byte % is nested too deep', at using errcode = '22023';
    end if;
    type := contract_data.xdr_int32(bytes, at);
    at := at + 4;

    external := type = 19 and contract_data.xdr_int32(bytes, at) = 2; -- an instance whose code is named by an address and a text
    if external then
      at := at + 4;
    end if;
    if type = 18 or external then
      address := contract_data.xdr_address(bytes, at);
      if address is null then
        raise exception 'not an SCVal: the address at byte % is of an unknown type', at using errcode = '22023';
      end if;
      at := at + ('[0:5]={40,36,44,40,36,44}'::integer[])[contract_data.xdr_int32(bytes, at)];
    end if;
    if type in (13, 14, 15, 22) or external then
      -- Bytes: their number, they themselves, and zeros up to a multiple of 4.
      count := contract_data.xdr_int32(bytes, at) & 4294967295;
      at := at + 4;
      padding := -count & 3;
      if count > size - at or type = 15 and count > 32 then
        raise exception 'not an SCVal: the length % at byte % is too large', count, at - 4 using errcode = '22023';
      end if;
      opaque := substr(bytes, at + 1, count::integer);
      at := at + count;
      if padding > 0 and substr(bytes, at + 1, padding) <> substr('\x000000'::bytea, 1, padding) then
        raise exception 'not an SCVal: the padding at byte % is not 0', at using errcode = '22023';
      end if;
      at := at + padding;
    end if;

    if type in (13, 14, 15, 22) then
      piece := case type
        when 15 then '{"symbol":"' || contract_data.xdr_text(opaque)
        when 14 then '{"string":"' || contract_data.xdr_text(opaque)
        when 13 then '{"bytes":"' || encode(opaque, 'hex')
        else '{"executable_tag":"' || contract_data.xdr_text(opaque)
      end || '"}';

    elsif type = 18 then
      piece := '{"address":"' || address || '"}';

    elsif type in (16, 17, 19) then
      piece := case type when 16 then '{"vec":' when 17 then '{"map":' else '{"contract_instance":{"executable":' end;
      if external then
        piece := piece || '{"external_ref":{"executable_owner":"' || address || '","tag":"' || contract_data.xdr_text(opaque) || '"}}';
      elsif type = 19 then
        piece := piece || case contract_data.xdr_int32(bytes, at)
          when 0 then '{"wasm":"' || encode(substr(bytes, at + 5, 32), 'hex') || '"}'
          when 1 then '"stellar_asset"'
        end;
        if piece is null then
          raise exception 'not an SCVal: the executable at byte % is of an unknown type', at using errcode = '22023';
        end if;
        at := at + case contract_data.xdr_int32(bytes, at) when 0 then 36 else 4 end;
      end if;
      if type = 19 then
        piece := piece || ',"storage":';
      end if;
      -- A flag says whether there are values, even none.
      flag := contract_data.xdr_int32(bytes, at);
      if flag not in (0, 1) then
        raise exception 'not an SCVal: the flag at byte % is %, not 0 or 1', at, flag using errcode = '22023';
      end if;
      at := at + 4;
      count := 0;
      if flag = 1 then
        count := (contract_data.xdr_int32(bytes, at) & 4294967295) * case type when 16 then 1 else 2 end;
        if count > (size - at) / 4 - 1 then
          raise exception 'not an SCVal: the % values whose number is at byte % are more than there are', count, at
            using errcode = '22023';
        end if;
        at := at + 4;
      end if;
      if count > 0 then
        json := json || (piece || case type when 16 then '[' else '[{"key":' end);
        depth := depth + 1;
        containers[depth] := container;
        remainders[depth] := remaining;
        container := type;
        remaining := count;
        level := level + case type when 16 then 4 when 17 then 5 else 6 end;
        continue;
      end if;
      piece := piece || case flag when 1 then '[]' else 'null' end || case type when 19 then '}}' else '}' end;

    else
      piece := case type
        when 0 then case contract_data.xdr_int32(bytes, at) when 0 then '{"bool":false}' when 1 then '{"bool":true}' end
        when 1 then '"void"'
        when 2 then '{"error":' || contract_data.xdr_error(bytes, at) || '}'
        when 3 then '{"u32":' || (contract_data.xdr_int32(bytes, at) & 4294967295) || '}'
        when 4 then '{"i32":' || contract_data.xdr_int32(bytes, at) || '}'
        when 5 then '{"u64":"' || contract_data.xdr_number(substr(bytes, at + 1, 8), false) || '"}'
        when 6 then '{"i64":"' || contract_data.xdr_int64(bytes, at) || '"}'
        when 7 then '{"timepoint":"' || contract_data.xdr_number(substr(bytes, at + 1, 8), false) || '"}'
        when 8 then '{"duration":"' || contract_data.xdr_number(substr(bytes, at + 1, 8), false) || '"}'
        when 9 then '{"u128":"' || contract_data.xdr_number(substr(bytes, at + 1, 16), false) || '"}'
        when 10 then '{"i128":"' || case
            -- most amounts fit into half of it
            when contract_data.xdr_int64(bytes, at) = 0 and get_byte(bytes, at + 8) < 128 then contract_data.xdr_int64(bytes, at + 8)
            else contract_data.xdr_number(substr(bytes, at + 1, 16), true)
          end || '"}'
        when 11 then '{"u256":"' || contract_data.xdr_number(substr(bytes, at + 1, 32), false) || '"}'
        when 12 then '{"i256":"' || contract_data.xdr_number(substr(bytes, at + 1, 32), true) || '"}'
        when 20 then '"ledger_key_contract_instance"'
        when 21 then '{"ledger_key_nonce":{"nonce":"' || contract_data.xdr_int64(bytes, at) || '"}}'
      end;
      if piece is null then
        raise exception 'not an SCVal: % is unknown', case type
          when 0 then 'the bool at byte ' || at
          when 2 then 'the error at byte ' || at
          else 'the type ' || type || ' at byte ' || at - 4
        end using errcode = '22023';
      end if;
      at := at + ('[0:21]={4,0,8,4,4,8,8,8,8,16,16,32,32,0,0,0,0,0,0,0,0,8}'::integer[])[type];
    end if;

    if at > size then
      raise exception 'not an SCVal: it ends at byte %, inside of a value', size using errcode = '22023';
    end if;
    json := json || piece;
    remaining := remaining - 1;
    while remaining = 0 loop
      if depth = 0 then
        if at < size then
          raise exception 'not an SCVal: it ends at byte %, but there are % bytes', at, size using errcode = '22023';
        end if;
        return array_to_string(json, '')::jsonb;
      end if;
      json := json || case container when 16 then ']}' when 17 then '}]}' else '}]}}' end::text;
      level := level - case container when 16 then 4 when 17 then 5 else 6 end;
      container := containers[depth];
      remaining := remainders[depth] - 1;
      depth := depth - 1;
    end loop;
    json := json || case when container = 16 then ',' when remaining % 2 = 1 then ',"val":' else '},{"key":' end::text;
  end loop;
end $$;
comment on function contract_data.scval(text) is
  'A value of a contract, from its base64 XDR (key_xdr, val_xdr), as the XDR-JSON of SEP-51. Fails (22023) if the text is not exactly one value.';
