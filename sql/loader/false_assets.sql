-- Assets that were learnt although the contract of the asset is another.
select a.contract_id, concat_ws(':', coalesce(a.asset_code, a.asset_type), a.asset_issuer) as asset
from contract_data.contract_assets a, contract_data.settings s
where contract_data.asset_contract(s.network_id, a.asset_type, a.asset_code, a.asset_issuer) is distinct from a.contract_id
order by a.contract_id
