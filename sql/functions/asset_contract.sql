-- The contract of an asset: the SHA-256 of the XDR of HashIDPreimage (CONTRACT_ID, network, FROM_ASSET, asset).
create or replace function contract_data.asset_contract(network_id bytea, asset_type text, asset_code text, asset_issuer text)
returns text language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  asset bytea;
begin
  if asset_type = 'native' and asset_code is null and asset_issuer is null then
    asset := '\x00000000';
  elsif asset_type = 'credit_alphanum4' and asset_code ~ '^[A-Za-z0-9]{1,4}$' then
    asset := '\x00000001' || substr(convert_to(asset_code, 'UTF8') || '\x000000'::bytea, 1, 4);
  elsif asset_type = 'credit_alphanum12' and asset_code ~ '^[A-Za-z0-9]{5,12}$' then
    asset := '\x00000002' || substr(convert_to(asset_code, 'UTF8') || '\x00000000000000'::bytea, 1, 12);
  end if;
  if asset_type <> 'native' then
    asset := asset || '\x00000000'::bytea || contract_data.strkey_payload(48, asset_issuer);
  end if;
  return contract_data.strkey(16, sha256('\x00000008'::bytea || network_id || '\x00000001'::bytea || asset));
end $$;
comment on function contract_data.asset_contract(bytea, text, text, text) is
  'Strkey (C…) of the contract of an asset on the network with this id (SHA-256 of its passphrase); null for what is no asset.';
