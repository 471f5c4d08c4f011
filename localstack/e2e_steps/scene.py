"""Shared by the steps."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deployed import Problem
from deployed.functions import Answer, Function, Logged
from deployed.schedules import deployed_schedules, fire
from deployed.session import Session
from deployed.stack import Stack
from e2e_steps.database import Database
from e2e_steps.source import Source

FIRST = 50_000_000  # of the chain; what is before START is for replays
BACKFILL = (50_005_000, 50_008_999)
START = 50_010_000  # of the schedule
PARTITION_LEDGERS = 5_000
WINDOW_LEDGERS = 50
LEDGERS = 30_000
TIMEOUT = 60  # seconds of the functions, where a step does not say otherwise


@dataclass
class Scene:
    """The stack, its database, its source and its bucket."""

    root: Path  # of the repository
    work: Path  # a directory that goes when the run ends
    session: Session
    stack: Stack
    database: Database
    source: Source
    zips: Path  # the directory of the functions' zips
    architecture: str  # of this machine, as Lambda calls it
    secrets: dict[str, str] = field(default_factory=dict)  # ARNs, by role
    figures: dict[str, str] = field(default_factory=dict)  # what is printed at the end

    @property
    def ingest(self) -> Function:
        return self.stack.ingest

    @property
    def maintain(self) -> Function:
        return self.stack.maintain

    def event(self, name: str) -> object:
        """An event of localstack/events."""
        return json.loads((self.root / "localstack" / "events" / f"{name}.json").read_text())

    def bucket(self) -> str:
        return self.stack.output("StagingBucketName")

    def objects(self, prefix: str) -> list[str]:
        """The keys under staging/ or archive/."""
        found = []
        for page in self.session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket(), Prefix=prefix):
            found += [one["Key"] for one in page.get("Contents", [])]
        return found

    def schedules(self) -> list[dict]:
        """The deployed schedules."""
        return deployed_schedules(self.session, self.stack.output("ScheduleGroup"))

    def fire(self, function: Function) -> str:
        """Fires the schedule of a function. Returns the schedule's input."""
        fired = [fire(self.session, one) for one in self.schedules() if one["Target"]["Arn"].endswith(f":{function.name}")]
        equal(len(fired), 1, f"schedules that fire {function.name}")
        return fired[0]

    def run(self) -> Answer:
        """Runs the function with the event of its schedule, and waits for the answer."""
        return self.ingest.invoke(self.event("schedule"))

    def good_run(self) -> dict:
        """A scheduled run, which must succeed. Returns its answer."""
        return good(self.run())

    def ingestctl(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """A command of ingestctl with its environment: the database as its superuser, the bucket of the stack."""
        variables = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.database.url,
            "STAGING_URL": self.stack.output("StagingUrl"),
            "AWS_ENDPOINT_URL": self.session.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "FLIGHT_ENDPOINT": self.source.endpoint,
            "LOG_LEVEL": "warn",
        }
        return ["ingestctl", *arguments], variables


def expect(holds: object, otherwise: str) -> None:
    """Fails the step unless this holds."""
    if not holds:
        raise Problem(otherwise)


def equal(found: object, wanted: object, what: str) -> None:
    expect(found == wanted, f"{what}: {found!r}, not {wanted!r}")


def good(answer: Answer) -> dict:
    """The answer of an invocation, which must have succeeded."""
    expect(not answer.is_error, f"the invocation failed: {json.dumps(answer.payload)[:600]}\n{answer.tail[-1500:]}")
    return answer.payload


def refused(answer: Answer, error_type: str, *words: str) -> str:
    """The message of an invocation, which must have failed with this error."""
    expect(answer.is_error, f"the invocation did not fail: {json.dumps(answer.payload)[:600]}")
    equal(answer.payload.get("errorType"), error_type, f"errorType of {json.dumps(answer.payload)[:600]}")
    message = answer.payload["errorMessage"]
    for word in words:
        expect(word.lower() in message.lower(), f"the error does not speak of {word}: {message}")
    return message


def until(holds: Callable[[], object], seconds: float, otherwise: str) -> object:
    """Waits until a condition holds, and returns its value; fails after the time limit."""
    end = time.monotonic() + seconds
    while True:
        if found := holds():
            return found
        if time.monotonic() > end:
            raise Problem(f"{otherwise}, after {seconds:.0f} s")
        time.sleep(0.1)


def whole(scene: Scene) -> None:
    """Checks that the rows are exactly those of the windows, and that no window failed."""
    loaded = scene.database.loaded()
    equal(loaded.entries, loaded.recorded, "rows in contract_data.entries, beside those that the completed windows recorded")
    equal(loaded.failed, 0, "failed windows")


def covered(scene: Scene, first: int, last: int) -> None:
    """Checks that a completed window covers every ledger of a range."""
    equal(scene.database.uncovered(first, last), 0, f"ledgers of {first} to {last} that no window has")


def took(logged: Logged) -> float:
    """Milliseconds from the start of the process, or of a warm invocation, to the answer."""
    return (logged.figure("Init Duration") or 0) + logged.figure("Duration")
