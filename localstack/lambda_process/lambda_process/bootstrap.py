"""The bootstrap of a function as a process group of this machine."""

import os
import signal
import subprocess
import tempfile
import weakref
from pathlib import Path


class Bootstrap:
    """A running `bootstrap`, leader of its own process group, with everything that it writes kept in order.

    Its environment is exactly the one given: nothing of LocalStack's own is inherited, neither variables nor open files.
    """

    def __init__(self, task_root: Path, variables: dict[str, str]):
        # A file and not a pipe: what was written before the bootstrap asked for its next invocation is all there when it
        # asks, a reader that is late holds nobody up, and what a killed process wrote is still there.
        self._output = tempfile.TemporaryFile("a+b", buffering=0)
        weakref.finalize(self, self._output.close)
        self._peak_kib = 0
        self._process = subprocess.Popen(
            [str(task_root / "bootstrap")],
            cwd=task_root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """The exit code: None while it runs, negative if a signal ended it."""
        return self._process.poll()

    def peak_memory_kib(self) -> int:
        """The most memory that the process had resident so far; of a process that is gone, as far as it was asked before.

        Not from getrusage: there a child begins with what its parent had when it forked, and the parent is LocalStack.
        """
        try:
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self._peak_kib = max(self._peak_kib, int(line.split()[1]))
        except (FileNotFoundError, ProcessLookupError):
            pass
        return self._peak_kib

    def written(self) -> int:
        """The number of bytes written so far: a position for `output`."""
        return os.fstat(self._output.fileno()).st_size

    def output(self, since: int) -> str:
        """The output since that position."""
        length = self.written() - since
        return os.pread(self._output.fileno(), length, since).decode(errors="replace")

    def freeze(self) -> None:
        """Suspends its processes, as Lambda does between invocations."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kills the process group at once, with any children left. Returns once it is gone."""
        self.peak_memory_kib()
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass  # nobody is left in the group
