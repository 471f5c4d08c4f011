-- $1: a ledger. What tells another chain apart, whatever the order of the changes: contract/fingerprint.rs is the same in Rust.
select encode(sha256(coalesce(string_agg(change, ''::bytea order by change), ''::bytea)), 'hex') as fingerprint
from (
  select sha256(convert_to(ledger_key_hash || '|' || coalesce(val_xdr, '-') || '|' || deleted::text, 'UTF8')) as change
  from contract_data.entries where ledger_sequence = $1
) changes
