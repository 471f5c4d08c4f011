-- The fingerprint no longer depends on the order of a ledger's changes, nor on columns that a later release derives better. The next
-- run stores one of this kind. A loader before would store one of the other kind, so it is refused.
alter table contract_data.settings alter column oldest_loader set default 6;
update contract_data.settings set fingerprint_ledger = null, fingerprint_digest = null, oldest_loader = 6;
comment on column contract_data.settings.fingerprint_digest is
  'Digest of what that ledger changed: SHA-256 over the sorted hashes of ledger_key_hash, val_xdr and deleted of each change.';
