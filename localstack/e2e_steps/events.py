"""An operator's events: plan, replay, force, and events that are refused."""

import json
import time

from e2e_steps.scene import TIMEOUT, Scene, covered, equal, expect, good, refused, until, whole

REFUSED = ("malformed", "unknown_field", "unknown_action", "impossible_range")


def plan(scene: Scene) -> None:
    """Plans a range: each window is the event of a replay."""
    event = scene.event("plan")
    answer = good(scene.ingest.invoke(event))
    windows = answer["windows"]
    equal(windows[0]["start_ledger"], event["start_ledger"], "the first ledger of the plan")
    equal(windows[-1]["end_ledger"], event["end_ledger"], "the last ledger of the plan")
    for before, after in zip(windows, windows[1:]):
        equal(after["start_ledger"], before["end_ledger"] + 1, "the ledger after a window of the plan")
    print(f"{len(windows)} windows, {answer['ledgers']} ledgers: {json.dumps(windows[0])} …")


def replay(scene: Scene) -> None:
    """Replays a range; again, without effect; and with force, which replaces it."""
    event = scene.event("replay")
    first, last = event["start_ledger"], event["end_ledger"]
    answer = good(scene.ingest.invoke(event))
    expect(answer["windows"] and all(window["status"] == "completed" for window in answer["windows"]), f"replay: {answer}")
    covered(scene, first, last)
    before, rows = scene.database.windows(first, last), scene.database.loaded().entries

    answer = good(scene.ingest.invoke(event))
    statuses = {window["status"] for window in answer["windows"]}
    expect(statuses <= {"already_loaded"} and answer["caught_up"], f"the same replay again: {answer}")
    equal(scene.database.windows(first, last), before, "windows and batches after the same replay again")

    answer = good(scene.ingest.invoke(scene.event("replay_force")))
    equal({window["status"] for window in answer["windows"]}, {"replaced"}, "statuses of a replay by force")
    after = scene.database.windows(first, last)
    equal([window[:2] for window in after], [window[:2] for window in before], "windows after a replay by force")
    expect(not {window[2] for window in after} & {window[2] for window in before}, "a batch is the one before the force")
    equal(scene.database.loaded().entries, rows, "rows after a replay by force")
    whole(scene)

    event = scene.event("replay_windows")
    good(scene.ingest.invoke(event))
    covered(scene, event["start_ledger"], event["end_ledger"])
    whole(scene)


def refusals(scene: Scene) -> None:
    """Invalid events are refused before any work, tried three times, and kept in the dead letter queue."""
    before = scene.database.loaded()
    scene.good_run()  # warm: what is measured is the refusal
    for name in REFUSED:
        begun = time.monotonic()
        message = refused(scene.ingest.invoke(scene.event(name)), "NonRetryable")
        expect(time.monotonic() - begun < 1, f"it took {time.monotonic() - begun:.1f} s to refuse {name}.json")
        print(f"{name}.json: {message}")
    answer = scene.ingest.invoke(b'{"start_ledger": 50000000,')
    expect(answer.is_error, f"half an object was taken for an event: {answer.payload}")

    event = scene.event("malformed")
    request_id = scene.ingest.invoke_async(event)
    letter = until(lambda: dead_letter(scene, request_id), TIMEOUT, "the refused event is not in the dead letter queue")
    equal(letter["requestPayload"], event, "the event in the dead letter queue")
    equal(letter["requestContext"]["condition"], "RetriesExhausted", "why it is there")
    attempts = scene.session.client("lambda").get_function_event_invoke_config(FunctionName=scene.ingest.name)["MaximumRetryAttempts"] + 1
    equal(letter["requestContext"]["approximateInvokeCount"], attempts, "attempts of the refused event")
    equal(letter["responsePayload"]["errorType"], "NonRetryable", "its error")
    equal(scene.database.loaded(), before, "what is loaded, before and after events that are refused")
    print(f"The same event by itself: {attempts} attempts, then the dead letter queue.")


def dead_letter(scene: Scene, request_id: str) -> dict | None:
    """The dead letter of a request, if it has arrived; it stays in the queue."""
    sqs, url = scene.session.client("sqs"), scene.stack.output("DeadLetterQueueUrl")
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    for message in answer.get("Messages", []):
        letter = json.loads(message["Body"])
        if letter.get("requestContext", {}).get("requestId") == request_id:
            return letter
    return None


def large_window(scene: Scene) -> None:
    """Loads one window of 4,000 ledgers: the function needs no more memory than for a small one."""
    event = {"start_ledger": 50_001_000, "end_ledger": 50_004_999, "window_ledgers": 4_000}
    # With less time the function would make several of it.
    scene.ingest.configure(Timeout=600)
    answer = scene.ingest.invoke(event)
    windows = good(answer)["windows"]
    equal([window["status"] for window in windows], ["completed"], "the large window")
    [window] = windows
    logged = scene.ingest.logged(answer.request_id)
    peak, seconds = logged.figure("Max Memory Used"), logged.figure("Duration") / 1000
    expect(peak < scene.ingest.configuration()["MemorySize"], f"the function had {peak} MB, more than its memory")
    scene.figures["peak memory, one large window"] = f"{peak:.0f} MB over {window['rows']:,} rows in {seconds:.1f} s"
    whole(scene)
    scene.ingest.configure(Timeout=TIMEOUT)
