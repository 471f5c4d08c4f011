-- A Stellar asset contract says of itself what its asset says: nothing has to be decoded, and its instance need not be loaded.
create or replace view contract_data.contract_tokens as
select
  a.contract_id,
  coalesce(a.asset_code, 'native') as symbol,
  coalesce(a.asset_code || ':' || a.asset_issuer, 'native') as name,
  7 as decimals,
  'sac' as kind,
  a.asset_code,
  a.asset_issuer,
  a.asset_type
from contract_data.contract_assets a
union all
select k.contract_id, m.symbol, m.name, m.decimals, case k.contract_instance_type when 'stellar_asset' then 'sac' else 'sep41' end,
  null, null, null
from contract_data.key_states k
cross join lateral contract_data.token_metadata(k.val_xdr) m
where k.contract_key_type = 'ScValTypeScvLedgerKeyContractInstance' and not k.deleted
  and not exists (select from contract_data.contract_assets a where a.contract_id = k.contract_id);
comment on view contract_data.contract_tokens is
  'Tokens by contract: every asset that is known, also if its contract is not deployed, and every contract whose instance has METADATA.';
comment on column contract_data.contract_tokens.contract_id is 'Strkey of the token''s contract.';
comment on column contract_data.contract_tokens.symbol is 'Its symbol: of an asset the code, or native. Anybody may take any symbol: the contract is the identity.';
comment on column contract_data.contract_tokens.name is 'Its name: of an asset CODE:ISSUER, or native.';
comment on column contract_data.contract_tokens.decimals is 'How many digits of an amount stand behind the point.';
comment on column contract_data.contract_tokens.kind is 'sac: a Stellar asset contract. sep41: any other contract that describes itself as a token.';
comment on column contract_data.contract_tokens.asset_code is 'Of a sac: the code; null for native.';
comment on column contract_data.contract_tokens.asset_issuer is 'Of a sac: the issuer; null for native.';
comment on column contract_data.contract_tokens.asset_type is 'Of a sac: native, credit_alphanum4 or credit_alphanum12.';
