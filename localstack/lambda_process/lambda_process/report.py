"""Log lines and error bodies as AWS Lambda writes them, so that the same tools read them."""

import json
import math
from dataclasses import dataclass

TIMED_OUT = "Sandbox.Timedout"
EXITED = "Runtime.ExitError"
INIT_ERROR = "Runtime.InitError"
INVALID_ENTRYPOINT = "Runtime.InvalidEntrypoint"
TOO_LARGE = "Function.ResponseSizeTooLarge"


@dataclass(frozen=True)
class Measured:
    """The cost of one invocation: milliseconds, and the peak resident memory of the process."""

    duration_ms: float
    init_ms: float | None  # of the cold start that this invocation waited for; None when it was warm
    memory_size_mb: int
    max_memory_kib: int


def start(request_id: str, version: str) -> str:
    """The first log line of an invocation."""
    return f"START RequestId: {request_id} Version: {version}\n"


def end(request_id: str, measured: Measured, error_type: str | None) -> str:
    """The last two log lines of an invocation. `error_type` is set if the environment failed, not the handler."""
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {measured.duration_ms:.2f} ms",
        f"Billed Duration: {math.ceil(measured.duration_ms + (measured.init_ms or 0))} ms",
        f"Memory Size: {measured.memory_size_mb} MB",
        f"Max Memory Used: {math.ceil(measured.max_memory_kib / 1024)} MB",
    ]
    if measured.init_ms is not None:
        fields.append(f"Init Duration: {measured.init_ms:.2f} ms")
    if error_type == TIMED_OUT:
        fields.append("Status: timeout")
    elif error_type:
        fields += ["Status: error", f"Error Type: {error_type}"]
    return f"END RequestId: {request_id}\n" + "\t".join(fields) + "\n"


def failed_init(init_ms: float, error_type: str) -> str:
    """The log line of a failed cold start; the invocation tries another one."""
    status = "timeout" if error_type == TIMED_OUT else "error"
    return f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: init\tStatus: {status}\tError Type: {error_type}\n"


def error_body(error_type: str, message: str) -> bytes:
    """The payload of an invocation that failed without an answer of the handler."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def timed_out(request_id: str, timeout_seconds: float) -> str:
    """The caller's payload after a timeout."""
    return f"RequestId: {request_id} Error: Task timed out after {timeout_seconds:.2f} seconds"


def exited(request_id: str, exit_code: int) -> str:
    """The caller's payload after the process exited; a negative code is the signal that ended it."""
    if exit_code < 0:
        how = f"Runtime exited with error: signal {-exit_code}"
    elif exit_code > 0:
        how = f"Runtime exited with error: exit status {exit_code}"
    else:
        how = "Runtime exited without providing a reason"
    return f"RequestId: {request_id} Error: {how}"
