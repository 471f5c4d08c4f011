-- For DuckDB, over the archive: holder and amount of the balances of all tokens, as the loader decodes them, from key_xdr and val_xdr.
-- A macro cannot call itself, so these read keys ["Balance", address] and the amounts behind them, and no other values.
-- An argument of a macro is computed at each place where it stands: a lambda over a list of one computes it once.

-- The bytes of hex digits, as numbers.
CREATE OR REPLACE MACRO xdr_bytes(digits) AS
  list_transform([digits], lambda hex: list_transform(range(length(hex) // 2), lambda i:
    (instr('0123456789ABCDEF', hex[2 * i + 1]) - 1) * 16 + instr('0123456789ABCDEF', hex[2 * i + 2]) - 1))[1];

-- CRC-16/XMODEM: what it was, with one byte more. `mixed` is its high byte and that byte.
CREATE OR REPLACE MACRO crc16_folded(crc, mixed) AS
  xor(xor((crc << 8) & 65535, (mixed << 12) & 65535), xor(mixed << 5, mixed));
CREATE OR REPLACE MACRO crc16(bytes) AS
  list_reduce(list_prepend(0::bigint, bytes), lambda crc, byte:
    crc16_folded(crc, xor(xor(crc >> 8, byte), xor(crc >> 8, byte) >> 4)));

-- Bytes in base32, 5 bits a letter.
CREATE OR REPLACE MACRO base32(bytes) AS
  array_to_string(list_transform([bytes], lambda b: list_transform(range(length(b) * 8 // 5), lambda n:
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[
      (((b[n * 5 // 8 + 1] * 256 + coalesce(b[n * 5 // 8 + 2], 0)) >> (11 - n * 5 % 8)) & 31) + 1]))[1], '');

-- The strkey of the 32 bytes in hex: version 16 gives C…, 48 gives G….
CREATE OR REPLACE MACRO strkey(version, digits) AS
  list_transform([list_prepend(version::bigint, xdr_bytes(digits))], lambda bytes:
    list_transform([crc16(bytes)], lambda crc: base32(list_concat(bytes, [crc & 255, crc >> 8])))[1])[1];

-- The i128 of 16 bytes.
CREATE OR REPLACE MACRO xdr_i128(bytes) AS
  list_transform([bytes::hugeint[]], lambda b:
    list_reduce(list_prepend((CASE WHEN b[1] > 127 THEN -1 ELSE 0 END)::hugeint, b), lambda number, byte: number * 256 + byte))[1];

-- Holder and amount of an entry; null if it is no balance. First by what base64 says of the first bytes: most entries are none.
CREATE OR REPLACE MACRO token_balance(key_xdr, val_xdr) AS
  CASE
    WHEN key_xdr LIKE 'AAAAEAAAAAEAAAACAAAADwAAAAdCYWxhbmNlAAAAABI%'
      AND (val_xdr LIKE 'AAAAC%' OR val_xdr LIKE 'AAAAEQAAAAEAAAA_AAAADwAAAAZhbW91bnQAAAAAAA%')
    THEN list_transform([{'key': hex(from_base64(key_xdr)), 'value': hex(from_base64(val_xdr))}], lambda e:
      CASE WHEN e.value[1:8] = '0000000A' OR e.value[57:64] = '0000000A' AND e.value[1:8] = '00000011' THEN {
        'holder': CASE
          WHEN e.key[65:72] = '00000001' AND length(e.key) = 136 THEN strkey(16, e.key[73:136])
          WHEN e.key[65:80] = '0000000000000000' AND length(e.key) = 144 THEN strkey(48, e.key[81:144])
        END,
        'amount': xdr_i128(xdr_bytes(CASE WHEN e.value[1:8] = '0000000A' THEN e.value[9:40] ELSE e.value[65:96] END))}
      END)[1]
  END;
