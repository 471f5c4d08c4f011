-- What changed in a contract after one ledger, up to another: -v contract_id=C… -v from_ledger=N -v to_ledger=N. Index:
-- entries_contract_ledger.
SELECT * FROM contract_data.changes_between(:'contract_id', :'from_ledger', :'to_ledger');
