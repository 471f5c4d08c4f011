"""The source of contract data: always the same synthetic chain, whose tip the steps advance."""

import datetime
import socket
import subprocess
import time
from pathlib import Path

from deployed import Problem

SEED, ROWS_PER_LEDGER, LEDGER_SECONDS = 7, 25, 1


class Source:
    """A flight-source on a fixed port. The seed determines the chain: a restart with a later tip only makes it longer."""

    def __init__(self, program: Path, log: Path, first: int, ledgers: int):
        self._program, self._log, self.first, self._ledgers = program, log, first, ledgers
        self._process: subprocess.Popen | None = None
        self._first_closed_at = datetime.datetime.now(datetime.UTC).replace(microsecond=0) - datetime.timedelta(
            seconds=ledgers * LEDGER_SECONDS + 3600
        )
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.tip = first

    @property
    def endpoint(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def serve(self, tip: int, tip_every: str | None = None) -> None:
        """Serves the chain up to `tip`; with `tip_every` it grows by one ledger at this interval."""
        self.stop()
        self.tip = tip
        closed_at = self._first_closed_at + datetime.timedelta(seconds=(tip - self.first) * LEDGER_SECONDS)
        command = [self._program, "--listen", f"127.0.0.1:{self.port}", "synthetic", "--seed", SEED]
        command += ["--first-ledger", self.first, "--ledgers", self._ledgers, "--rows-per-ledger", ROWS_PER_LEDGER]
        command += ["--ledger-seconds", LEDGER_SECONDS, "--tip", tip, "--tip-closed-at", f"{closed_at:%Y-%m-%dT%H:%M:%SZ}"]
        if tip_every:
            command += ["--tip-every", tip_every]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    last = self._log.read_text().splitlines()[-5:]
                    raise Problem("flight-source did not start: " + " / ".join(last)) from error
                time.sleep(0.05)

    def advance(self, ledgers: int) -> None:
        """Extends the chain by this many ledgers."""
        self.serve(self.tip + ledgers)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
