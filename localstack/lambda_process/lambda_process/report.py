"""Log lines and error bodies in the words of AWS Lambda, so that what reads them there reads them here."""

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
    """What one invocation took: milliseconds, and the most memory that the environment's process had resident."""

    duration_ms: float
    init_ms: float | None  # of the cold start that this invocation waited for; None when it was warm
    memory_size_mb: int
    max_memory_kib: int


def start(request_id: str, version: str) -> str:
    """The line that opens an invocation."""
    return f"START RequestId: {request_id} Version: {version}\n"


def end(request_id: str, measured: Measured, error_type: str | None) -> str:
    """The two lines that close an invocation. `error_type` is set when the environment failed, not the handler."""
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
    """The line of a cold start that came to nothing; the invocation tries another one."""
    status = "timeout" if error_type == TIMED_OUT else "error"
    return f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: init\tStatus: {status}\tError Type: {error_type}\n"


def error_body(error_type: str, message: str) -> bytes:
    """The payload of an invocation that failed without a word of the handler."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def timed_out(request_id: str, timeout_seconds: float) -> str:
    """What the caller reads after the kill at the timeout."""
    return f"RequestId: {request_id} Error: Task timed out after {timeout_seconds:.2f} seconds"


def exited(request_id: str, exit_code: int) -> str:
    """What the caller reads after the process has ended; a negative code is the signal that ended it."""
    if exit_code < 0:
        how = f"Runtime exited with error: signal {-exit_code}"
    elif exit_code > 0:
        how = f"Runtime exited with error: exit status {exit_code}"
    else:
        how = "Runtime exited without providing a reason"
    return f"RequestId: {request_id} Error: {how}"
