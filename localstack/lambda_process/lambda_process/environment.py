"""One execution environment: a bootstrap that is started when needed, invoked, and killed when it is late."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from lambda_process import report
from lambda_process.bootstrap import Bootstrap
from lambda_process.runtime_api import Invocation, Outcome, RuntimeApi

INIT_SECONDS = 10  # what Lambda gives a cold start; one that takes longer begins again, in the time of the invocation


@dataclass(frozen=True)
class Function:
    """The part of a function's configuration that an environment uses."""

    task_root: Path
    variables: dict[str, str]
    version: str
    timeout_seconds: float
    memory_size_mb: int


@dataclass(frozen=True)
class Request:
    """One event for the function."""

    request_id: str
    function_arn: str
    trace_id: str
    payload: bytes


@dataclass(frozen=True)
class Answer:
    """The result of an invocation: the caller's payload, and the log lines."""

    body: bytes
    is_error: bool
    log: str


class EnvironmentFailed(Exception):
    """The process failed, not the handler: it timed out or exited. Contains the caller's payload."""

    def __init__(self, error_type: str, sentence: str, body: bytes | None = None):
        super().__init__(sentence)
        self.error_type = error_type
        self.body = body or report.error_body(error_type, sentence)


class Environment:
    """Serves one invocation at a time. `stop` may be called from any thread, also during an invocation."""

    def __init__(self, function: Function):
        self._function = function
        self._api = RuntimeApi(on_idle=self._freeze, on_busy=self._thaw)
        self._lifecycle = threading.Lock()  # nothing starts in an environment that is stopped
        self._stopped = False
        self._bootstrap: Bootstrap | None = None  # the one that waits for, or works on, an invocation
        self._init_log = ""  # what cold starts wrote, for the log of the next invocation
        self._init_ms: float | None = None  # of a cold start ahead of its invocation

    def start(self) -> None:
        """The cold start before the first invocation. If it fails, that invocation logs the failure and tries again."""
        begun = time.monotonic()
        try:
            self._cold_start("init", begun + INIT_SECONDS)
            self._init_ms = (time.monotonic() - begun) * 1000
        except EnvironmentFailed as failure:
            self._init_log += report.failed_init((time.monotonic() - begun) * 1000, failure.error_type)

    def invoke(self, request: Request) -> Answer:
        """Runs one invocation to its answer, its crash or its timeout, whichever comes first.

        A cold start that is needed on the way counts against the function's timeout, as Lambda has it.
        """
        begun = time.monotonic()
        until = begun + self._function.timeout_seconds
        error_type, written, peak_kib = None, "", 0
        try:
            if not self._watch():
                self._cold_start(request.request_id, until)
            bootstrap, position = self._bootstrap, self._bootstrap.written()
            try:
                outcome = self._serve(bootstrap, request, until)
            finally:
                written, peak_kib = bootstrap.output(since=position), bootstrap.peak_memory_kib()
        except EnvironmentFailed as failure:
            outcome, error_type = Outcome(failure.body, is_error=True), failure.error_type
            written = _whole_lines(written) + f"{failure}\n{failure.error_type}\n"
        duration_ms = (time.monotonic() - begun) * 1000
        measured = report.Measured(duration_ms, self._init_ms, self._function.memory_size_mb, peak_kib)
        log = (
            _whole_lines(self._init_log)
            + report.start(request.request_id, self._function.version)
            + _whole_lines(written)
            + report.end(request.request_id, measured, error_type)
        )
        self._init_log, self._init_ms = "", None
        return Answer(outcome.body, outcome.is_error, log)

    def stop(self) -> None:
        """Ends the environment; a running invocation ends as if its process had been killed."""
        with self._lifecycle:
            self._stopped = True
            if self._bootstrap:
                self._bootstrap.kill()
        self._api.close()

    # --- the parts of an invocation

    def _cold_start(self, phase: str, until: float) -> None:
        """Starts a bootstrap, and waits until it asks for an invocation."""
        with self._lifecycle:
            if self._stopped:
                raise EnvironmentFailed(report.EXITED, f"RequestId: {phase} Error: the environment is stopped")
            self._api.expect_bootstrap()
            variables = self._function.variables | {"AWS_LAMBDA_RUNTIME_API": self._api.address}
            try:
                self._bootstrap = bootstrap = Bootstrap(self._function.task_root, variables)
            except OSError as error:
                sentence = f"RequestId: {phase} Error: cannot run {self._function.task_root / 'bootstrap'}: {error.strerror}"
                raise EnvironmentFailed(report.INVALID_ENTRYPOINT, sentence) from error
        idle = self._api.wait_for_idle(until, self._watch)
        if idle:
            self._init_log += bootstrap.output(since=0)
            return
        failure = self._given_up(bootstrap, phase, self._api.init_error())
        self._init_log += bootstrap.output(since=0)
        raise failure

    def _serve(self, bootstrap: Bootstrap, request: Request, until: float) -> Outcome:
        """Sends one event through the Runtime API. It is done when the bootstrap asks for the next one."""
        deadline_ms = int((time.time() + until - time.monotonic()) * 1000)
        self._api.offer(
            Invocation(request.request_id, request.function_arn, request.trace_id, request.payload, deadline_ms)
        )
        idle = self._api.wait_for_idle(until, self._watch)
        outcome = self._api.outcome()
        if idle and outcome:
            return outcome
        failure = self._given_up(bootstrap, request.request_id, None)
        if outcome and failure.error_type == report.EXITED:
            return outcome  # it answered, and died after that
        raise failure

    def _given_up(self, bootstrap: Bootstrap, phase: str, init_error: bytes | None) -> EnvironmentFailed:
        """Kills the rest of a bootstrap that timed out, exited or reported an init error; returns which."""
        exit_code = bootstrap.exit_code()
        bootstrap.kill()
        self._bootstrap = None
        if init_error is not None:
            return EnvironmentFailed(report.INIT_ERROR, f"RequestId: {phase} Error: the function did not start", init_error)
        if exit_code is None:
            return EnvironmentFailed(report.TIMED_OUT, report.timed_out(phase, self._function.timeout_seconds))
        return EnvironmentFailed(report.EXITED, report.exited(phase, exit_code))

    # --- the process

    def _watch(self) -> bool:
        """Whether the bootstrap is alive. Also records its memory, which cannot be read once it is dead."""
        if self._bootstrap is None or self._bootstrap.exit_code() is not None:
            return False
        self._bootstrap.peak_memory_kib()
        return True

    def _freeze(self) -> None:
        if self._bootstrap:
            self._bootstrap.freeze()

    def _thaw(self) -> None:
        if self._bootstrap:
            self._bootstrap.thaw()


def _whole_lines(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
