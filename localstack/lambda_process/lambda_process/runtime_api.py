"""The Lambda Runtime API of one execution environment, on a loopback port of its own.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lambda_process import report

PREFIX = "/2018-06-01/runtime/"
MAX_RESPONSE = 6 * 1024 * 1024 + 100  # of a synchronous invocation


@dataclass(frozen=True)
class Invocation:
    """One event, as the bootstrap receives it."""

    request_id: str
    function_arn: str
    trace_id: str
    payload: bytes
    deadline_ms: int  # milliseconds since 1970

    def headers(self) -> list[tuple[str, str]]:
        return [
            ("Lambda-Runtime-Aws-Request-Id", self.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(self.deadline_ms)),
            ("Lambda-Runtime-Invoked-Function-Arn", self.function_arn),
            ("Lambda-Runtime-Trace-Id", self.trace_id),
        ]


@dataclass(frozen=True)
class Outcome:
    """The bootstrap's answer: the response, or the body of its error."""

    body: bytes
    is_error: bool


class RuntimeApi:
    """Hands one invocation at a time to one bootstrap. All state is under `_changed`.

    A bootstrap is *idle* while it waits for its next invocation. `on_idle` is called then, under the lock, before anybody
    hears of it; `on_busy` before an invocation is handed out.
    """

    def __init__(self, on_idle: Callable[[], None], on_busy: Callable[[], None]):
        self._on_idle, self._on_busy = on_idle, on_busy
        self._changed = threading.Condition()
        self._idle = False
        self._waiter = 0  # the number of the latest request for an invocation: an earlier one is a dead bootstrap's
        self._pending: Invocation | None = None
        self._current: str | None = None
        self._outcome: Outcome | None = None
        self._init_error: bytes | None = None
        self._closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._server.daemon_threads = True
        serve = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serve.start()

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    # --- the side of the environment

    def expect_bootstrap(self) -> None:
        """Forgets the previous bootstrap, before a new one starts."""
        with self._changed:
            self._idle, self._pending, self._current, self._outcome, self._init_error = False, None, None, None, None
            self._waiter += 1
            self._changed.notify_all()

    def offer(self, invocation: Invocation) -> None:
        """Gives the bootstrap its next invocation once it asks."""
        with self._changed:
            self._outcome, self._pending = None, invocation
            self._changed.notify_all()

    def wait_for_idle(self, until: float, alive: Callable[[], bool]) -> bool:
        """Waits until the bootstrap wants its next invocation, has died, reported an init error, or `until` (monotonic).

        True in the first case. `alive` is asked now and then.
        """
        with self._changed:
            while not self._idle or self._pending is not None:
                left = until - time.monotonic()
                if self._init_error is not None or left <= 0 or not alive():
                    return False
                self._changed.wait(min(left, 0.02))
            return True

    def outcome(self) -> Outcome | None:
        """The answer to the last invocation."""
        with self._changed:
            return self._outcome

    def init_error(self) -> bytes | None:
        """The body of the init error that the bootstrap reported."""
        with self._changed:
            return self._init_error

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    # --- the side of the bootstrap

    def next_invocation(self) -> Invocation | None:
        """Waits for an invocation; None if the environment has ended or another bootstrap has replaced this one."""
        with self._changed:
            self._waiter += 1
            me = self._waiter
            self._on_idle()
            self._idle = True
            self._changed.notify_all()
            while self._pending is None and not self._closed and me == self._waiter:
                self._changed.wait()
            if self._pending is None or self._closed or me != self._waiter:
                return None
            invocation, self._pending, self._idle = self._pending, None, False
            self._current = invocation.request_id
            self._on_busy()
            return invocation

    def answer(self, request_id: str, outcome: Outcome) -> tuple[int, bytes]:
        """Takes the answer to the current invocation, once. Returns status and body."""
        with self._changed:
            if request_id != self._current or self._outcome is not None:
                return 400, report.error_body("InvalidRequestID", "Invalid request ID")
            if len(outcome.body) > MAX_RESPONSE:
                message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
                self._outcome = Outcome(report.error_body(report.TOO_LARGE, message), is_error=True)
                return 413, report.error_body("RequestEntityTooLarge", "Exceeded maximum allowed payload size")
            self._outcome = outcome
            return 202, b'{"status":"OK"}'

    def fail_init(self, body: bytes) -> tuple[int, bytes]:
        with self._changed:
            self._init_error = body
            self._changed.notify_all()
            return 202, b'{"status":"OK"}'


class _Handler(BaseHTTPRequestHandler):
    """The HTTP server of `api`."""

    api: RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait for an acknowledgement

    def log_message(self, format, *arguments):
        pass  # the output of the function is the log

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a bootstrap that was killed
            super().handle()

    def do_GET(self):
        if self.path != PREFIX + "invocation/next":
            self._send(404, b"")
            return
        invocation = self.api.next_invocation()
        if invocation is None:
            self._send(410, b"")
        else:
            self._send(200, invocation.payload, invocation.headers())

    def do_POST(self):
        body = self._body()
        match self.path.removeprefix(PREFIX).split("/"):
            case ["init", "error"]:
                self._send(*self.api.fail_init(body))
            case ["invocation", request_id, "response"]:
                self._send(*self.api.answer(request_id, Outcome(body, is_error=False)))
            case ["invocation", request_id, "error"]:
                self._send(*self.api.answer(request_id, Outcome(body, is_error=True)))
            case _:
                self._send(404, b"")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return bytes(body)

    def _send(self, status: int, body: bytes, headers: list[tuple[str, str]] = ()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
