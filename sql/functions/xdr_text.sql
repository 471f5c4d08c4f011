-- Nearly every text of the chain is what it was. Neither strict nor with `set search_path`, so that this becomes a part of the
-- expression that calls it.
create or replace function contract_data.xdr_text(bytes bytea) returns text
language sql immutable parallel safe as $$
  select case
    when encode(bytes, 'escape') collate "C" ~ '[^] !#-[^-~]' then contract_data.xdr_escaped(bytes)
    else encode(bytes, 'escape')
  end
$$;
comment on function contract_data.xdr_text(bytea) is 'As xdr_escaped, and quick if there is nothing to escape.';
