-- {table}: where its rows are stored. {columns}: those of a staged object, in its order. {start}, {end}: a window.
copy (
  select {columns}
  from {table}
  where ledger_sequence between {start} and {end}
  order by ledger_sequence, change_index
) to stdout (format binary)
