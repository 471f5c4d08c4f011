"""Scheduled runs: the first, two at once, one short of time, one killed."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deployed.functions import Logged
from e2e_steps.scene import (
    PARTITION_LEDGERS,
    START,
    TIMEOUT,
    WINDOW_LEDGERS,
    Scene,
    covered,
    equal,
    expect,
    good,
    refused,
    took,
    until,
    whole,
)

ESTABLISHED = ("records_received_total", "records_inserted_total", "batches_processed_total")


def first_run(scene: Scene) -> None:
    """The deployed schedule fires; checks windows, objects, logs and metrics."""
    scene.source.serve(START + 20 * WINDOW_LEDGERS - 1)
    begun = int(time.time() * 1000)
    print(f"{scene.ingest.name} is fired with {scene.fire(scene.ingest)}")
    [logged] = until(lambda: scene.ingest.invocations(begun), TIMEOUT + 10, "the schedule's invocation is in no log")
    expect("Status:" not in logged.report, f"the first run failed: {logged.report}\n" + "\n".join(logged.lines[-5:]))

    covered(scene, START, scene.source.tip)
    whole(scene)
    windows = scene.database.windows(START, scene.source.tip)
    # The first windows of all are short: nobody knows yet how long one takes.
    expect(len(windows) >= 20 and all(last - first < WINDOW_LEDGERS for first, last, _ in windows), f"windows: {windows}")
    wanted = ["archive/contract_data/v1/network=pubnet/_database.json"]
    for table in "data", "ttl", "assets":
        place = f"archive/contract_{table}/v1/network=pubnet/"
        wanted += [f"{place}ledger_range={first // PARTITION_LEDGERS * PARTITION_LEDGERS}/{first}-{last}.parquet" for first, last, _ in windows]
    equal(sorted(scene.objects("archive/")), sorted(wanted), "objects in archive/")
    equal(scene.objects("staging/"), [], "objects left in staging/")
    _logs_speak(logged, {first for first, _, _ in windows})
    rows = scene.database.loaded().entries
    _metrics_count(logged, len(windows), rows)
    scene.figures["first scheduled run"] = f"{took(logged) / 1000:.2f} s, {len(windows)} windows, {rows:,} rows"
    print(f"{len(windows)} windows, {rows:,} rows: progress, rows, objects, logs and metrics agree.")


def _logs_speak(logged: Logged, starts: set[int]) -> None:
    """The logs are JSON lines with the id of the request, one for each step of each window."""
    lines = [one for one in logged.objects() if "_aws" not in one]
    strangers = [one for one in lines if request_of(one) != logged.request_id]
    equal(strangers[:1], [], f"lines of the log without requestId {logged.request_id}")
    for step in ("stage", "load"):  # drained and staged is one step: the rows go through
        of_step = [one for one in lines if one.get("step") == step]
        equal({one.get("start_ledger") for one in of_step}, starts, f"windows with a line of the step {step}, by their start")
        for one in of_step:
            numbers = [one.get(name) for name in ("start_ledger", "end_ledger", "rows", "duration_ms")]
            expect(all(isinstance(number, int) for number in numbers), f"a line of the step {step} lacks a number: {json.dumps(one)}")


def request_of(line: dict) -> str | None:
    """The id of the invocation in a log line: the line's own, or that of the Lambda runtime's span."""
    return line.get("requestId") or line.get("span", {}).get("requestId")


def _metrics_count(logged: Logged, windows: int, rows: int) -> None:
    """The logs have metrics in CloudWatch's embedded metric format; their sums are those of the database."""
    lines = [one for one in logged.objects() if "_aws" in one]
    expect(lines, "no line of the log is in the embedded metric format")
    sums: dict[str, float] = {}
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            # The rows of the other tables are counted by table.
            by_table = [metric["Name"] for metric in directive["Metrics"]] == ["contract_data_loader_table_rows_total"]
            by = ["Network", "table"] if by_table else ["Network"]
            expect(by in directive["Dimensions"] and line.get("Network") == "pubnet", f"not by {by}: {json.dumps(line)[:300]}")
            expect(directive["Namespace"].startswith("ContractDataLoader"), f"namespace {directive['Namespace']}")
            for metric in directive["Metrics"]:
                value = line[metric["Name"]]
                sums[metric["Name"]] = sums.get(metric["Name"], 0) + (sum(value) if isinstance(value, list) else value)
    for name in ESTABLISHED:
        expect(f"postgresql_consumer_{name}" in sums, f"no metric postgresql_consumer_{name}; there are {sorted(sums)}")
    equal(sums.get("contract_data_loader_windows_total"), windows, "the metric windows_total")
    equal(sums.get("contract_data_loader_rows_total"), rows, "the metric rows_total")
    equal(sums.get("postgresql_consumer_records_inserted_total"), rows, "the metric records_inserted_total")


def two_at_once(scene: Scene) -> None:
    """While one run is blocked in its COPY, the other says busy. Then two race."""
    scene.source.advance(500)
    with ThreadPoolExecutor(2) as pool:
        with scene.database.copy_held(scene.source.tip):
            first = pool.submit(scene.run)
            until(scene.database.copies_waiting, 30, "no run came to its COPY")
            second = scene.good_run()
            equal((second["busy"], second["windows"]), (True, []), "the second run, beside one that is held: busy and windows")
        answer = good(first.result())
        equal((answer["busy"], answer["caught_up"]), (False, True), "the first run, once released: busy and caught_up")
        scene.source.advance(500)
        answers = [good(one.result()) for one in [pool.submit(scene.run), pool.submit(scene.run)]]
    ledgers = [window["start_ledger"] for answer in answers for window in answer["windows"] if window["status"] == "completed"]
    equal(len(ledgers), len(set(ledgers)), "windows that two racing runs say they completed, and different ones among them")
    if any(answer["busy"] for answer in answers):
        print("Of two that raced one was busy.")
    scene.good_run()
    covered(scene, START, scene.source.tip)
    whole(scene)


def short_of_time(scene: Scene) -> None:
    """With a timeout shorter than the work, the run stops at its own deadline, and the next one continues."""
    scene.source.advance(100 * WINDOW_LEDGERS)
    before = scene.database.loaded().windows
    timeout = 20
    scene.ingest.configure(Timeout=timeout)
    with scene.database.slow_windows(0.7):
        answer = scene.run()
    result = good(answer)
    logged = scene.ingest.logged(answer.request_id)
    expect("Status:" not in logged.report, f"it was killed: {logged.report}")
    expect(not result["caught_up"], "it says that it caught up, with less time than work")
    loaded = scene.database.loaded().windows - before
    expect(0 < loaded < 100, f"it loaded {loaded} of 100 windows")
    expect(logged.figure("Duration") < timeout * 1000, f"it took {logged.figure('Duration')} ms of {timeout} s")
    whole(scene)
    scene.ingest.configure(Timeout=TIMEOUT)
    equal(scene.good_run()["caught_up"], True, "caught_up of the next run")
    covered(scene, START, scene.source.tip)
    whole(scene)
    print(f"{loaded} of 100 windows in {logged.figure('Duration') / 1000:.1f} s of {timeout} s; the next run did the rest.")


def killed(scene: Scene) -> None:
    """A run frozen in its COPY is killed at the timeout: it leaves no partial window, and the next run completes."""
    scene.source.advance(4 * WINDOW_LEDGERS)
    before = scene.database.loaded()
    scene.ingest.configure(Timeout=12)
    with ThreadPoolExecutor(1) as pool:
        with scene.database.copy_held(scene.source.tip):
            run = pool.submit(scene.run)
            until(scene.database.copies_waiting, 30, "no run came to its COPY")
            # It would notice its deadline and end by itself: a process that is frozen cannot.
            for pid in processes_of(scene.ingest.name):
                os.kill(pid, signal.SIGSTOP)
            message = refused(run.result(), "Sandbox.Timedout", "timed out after 12.00 seconds")
        print(f"Killed: {message}")
    until(lambda: not scene.database.copies_waiting(), 30, "PostgreSQL still works for the killed run")
    after = scene.database.loaded()
    equal((after.windows, after.entries), (before.windows, before.entries), "windows and rows after the kill")
    sealed = scene.objects("staging/")
    expect(sealed, "the kill left no sealed object in staging/")
    scene.ingest.configure(Timeout=TIMEOUT)
    result = scene.good_run()
    expect(any(window.get("source") == "staging" for window in result["windows"]), f"no window came from staging/: {result}")
    covered(scene, START, scene.source.tip)
    whole(scene)
    scene.good_run()  # with nothing to load: it clears away
    equal(scene.objects("staging/"), [], "objects left in staging/")


def processes_of(function: str) -> list[int]:
    """The running bootstraps of a function."""
    found, wanted = [], f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                pass
    expect(found, f"no process of {function} runs")
    return found


def maintenance(scene: Scene) -> None:
    """Fires the other schedule, of the function that maintains the database as the owner of the schema."""
    begun = int(time.time() * 1000)
    print(f"{scene.maintain.name} is fired with {scene.fire(scene.maintain)}")
    [logged] = until(lambda: scene.maintain.invocations(begun), TIMEOUT, "the schedule's invocation is in no log")
    expect("Status:" not in logged.report, f"maintain failed: {logged.report}")
    answer = good(scene.maintain.invoke(scene.event("maintain")))
    expect(isinstance(answer, dict), f"maintain answered {answer!r}")
    print(json.dumps(answer)[:200])
