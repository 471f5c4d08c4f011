-- {columns}: those of a staged object, in its order. {start}, {end}: a window.
copy (
  select {columns}
  from contract_data.entries
  where ledger_sequence between {start} and {end}
  order by ledger_sequence, change_index
) to stdout (format binary)
