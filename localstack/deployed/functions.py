"""Invocations of a deployed function, and what they left in its log."""

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from deployed import Problem
from deployed.session import Session

REPORT = re.compile(r"^REPORT RequestId: (\S+)\t")


@dataclass(frozen=True)
class Answer:
    """The end of a synchronous invocation."""

    request_id: str
    payload: object  # what the function answered; of an error, its errorType and errorMessage
    is_error: bool
    tail: str  # the end of its log, 4 KiB at most


@dataclass(frozen=True)
class Logged:
    """What one invocation wrote, with Lambda's own figures about it."""

    request_id: str
    stream: str
    lines: list[str]
    report: str

    def figure(self, name: str) -> float | None:
        """A figure of the REPORT line: `Duration`, `Init Duration`, `Max Memory Used`."""
        found = re.search(rf"\t{name}: ([\d.]+) (?:ms|MB)", self.report)
        return float(found[1]) if found else None

    def objects(self) -> list[dict]:
        """Its lines that are JSON objects."""
        found = []
        for line in self.lines:
            if line.startswith("{"):
                try:
                    found.append(json.loads(line))
                except json.JSONDecodeError as error:
                    raise Problem(f"a line of the log is no JSON: {line[:200]}") from error
        return found


class Function:
    """One deployed function."""

    def __init__(self, session: Session, name: str):
        self.session, self.name = session, name
        self.log_group = f"/aws/lambda/{name}"

    def invoke(self, event: object) -> Answer:
        """Waits for the answer. `event` is an object, or the bytes of the payload as they are."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        answer = self.session.client("lambda").invoke(FunctionName=self.name, Payload=payload, LogType="Tail")
        body = answer["Payload"].read()
        tail = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        request_id = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amzn-requestid", "")
        if found := re.search(r"RequestId: (\S+)", tail):
            request_id = found[1]
        return Answer(request_id, json.loads(body) if body else None, "FunctionError" in answer, tail)

    def invoke_async(self, event: object) -> str:
        """Hands it over. Returns the id of the request, which its retries keep."""
        answer = self.session.client("lambda").invoke(
            FunctionName=self.name, InvocationType="Event", Payload=json.dumps(event).encode()
        )
        return answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]

    def configure(self, **changes) -> None:
        """Changes the configuration, `Variables` among the environment's others, and waits until it holds.

        Environments of the configuration before are gone: the next invocation is a cold start.
        """
        client = self.session.client("lambda")
        if variables := changes.pop("Variables", None):
            present = client.get_function_configuration(FunctionName=self.name)["Environment"]["Variables"]
            kept = {name: value for name, value in (present | variables).items() if value is not None}
            changes["Environment"] = {"Variables": kept}
        client.update_function_configuration(FunctionName=self.name, **changes)
        client.get_waiter("function_updated_v2").wait(FunctionName=self.name, WaiterConfig={"Delay": 1})

    def configuration(self) -> dict:
        return self.session.client("lambda").get_function_configuration(FunctionName=self.name)

    # --- the log

    def events(self, since_ms: int = 0) -> Iterator[tuple[str, str]]:
        """Stream and text of every line since then, each stream in its order."""
        logs = self.session.client("logs")
        for page in logs.get_paginator("describe_log_streams").paginate(logGroupName=self.log_group):
            for stream in page["logStreams"]:
                name, token = stream["logStreamName"], None
                while True:
                    more = {"nextToken": token} if token else {}
                    answer = logs.get_log_events(
                        logGroupName=self.log_group, logStreamName=name, startTime=since_ms, startFromHead=True, **more
                    )
                    for event in answer["events"]:
                        yield name, event["message"].rstrip("\n")
                    if not answer["events"] or answer["nextForwardToken"] == token:
                        break
                    token = answer["nextForwardToken"]

    def invocations(self, since_ms: int = 0) -> list[Logged]:
        """Every finished invocation in the log since then."""
        found, lines, of = [], [], None
        for stream, text in self.events(since_ms):
            if stream != of:
                lines, of = [], stream
            lines.append(text)
            if report := REPORT.match(text):
                found.append(Logged(report[1], stream, lines, text))
                lines = []
        return found

    def logged(self, request_id: str, seconds: float = 20) -> Logged:
        """What an invocation logged; waits for it. Of several attempts, the last."""
        until = time.monotonic() + seconds
        while True:
            of_it = [one for one in self.invocations() if one.request_id == request_id]
            if of_it:
                return of_it[-1]
            if time.monotonic() > until:
                raise Problem(f"the log group {self.log_group} has nothing of the request {request_id}")
            time.sleep(0.2)
