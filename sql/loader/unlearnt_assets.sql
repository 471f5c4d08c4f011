-- $1 to $4: assets, one per place in the arrays. Those that are of their contracts, and not known.
select distinct contract
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as a (contract, type, code, issuer), contract_data.settings s
where not exists (
    select from contract_data.contract_assets k
    where (k.contract_id, k.asset_type) = (contract, type)
      and (k.asset_code, k.asset_issuer) is not distinct from (code, issuer))
  and not exists (select from contract_data.named_assets k where k.contract_id = contract)
  and contract_data.asset_contract(s.network_id, type, code, issuer) = contract
order by contract
limit 5
