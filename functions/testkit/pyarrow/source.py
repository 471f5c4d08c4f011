"""A source of contract data on stock pyarrow, as docs/flight-contract.md asks for one: source.py ROWS COUNTING.

ROWS is an Arrow IPC file with the rows of all ledgers in order; COUNTING is how many seconds a window's answer takes. It prints
its port, and ends when its standard input does.
"""

import json
import sys
import threading
import time

import pyarrow
import pyarrow.compute
from pyarrow import flight


class Source(flight.FlightServerBase):
    def __init__(self, rows, counting):
        super().__init__("grpc://127.0.0.1:0")
        self.rows, self.counting = rows, counting
        ledgers = rows["ledger_sequence"]
        self.first, self.last = pyarrow.compute.min(ledgers).as_py(), pyarrow.compute.max(ledgers).as_py()

    def get_flight_info(self, context, descriptor):
        window = [int(part) for part in descriptor.path[2:]]
        if not window:
            return self.info(descriptor, self.first, self.last, -1, [])
        start, end = window
        time.sleep(self.counting)
        ticket = flight.Ticket(json.dumps(window))
        rows = self.window(start, end).num_rows
        return self.info(descriptor, start, min(end, self.last), rows, [flight.FlightEndpoint(ticket, [])])

    def info(self, descriptor, start, end, rows, endpoints):
        vouched = json.dumps({"start_ledger": start, "end_ledger": end}).encode()
        return flight.FlightInfo(
            self.rows.schema, descriptor, endpoints, total_records=rows, ordered=True, app_metadata=vouched
        )

    def do_get(self, context, ticket):
        return flight.RecordBatchStream(self.window(*json.loads(ticket.ticket)))

    def window(self, start, end):
        ledgers = self.rows["ledger_sequence"]
        inside = pyarrow.compute.and_(
            pyarrow.compute.greater_equal(ledgers, start), pyarrow.compute.less_equal(ledgers, end)
        )
        return self.rows.filter(inside)


path, counting = sys.argv[1:]
with pyarrow.ipc.open_file(path) as file:
    source = Source(file.read_all(), float(counting))
print(source.port, flush=True)
threading.Thread(target=source.serve, daemon=True).start()
sys.stdin.read()
