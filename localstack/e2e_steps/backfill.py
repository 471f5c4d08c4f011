"""The backfill: the state machine of the template, while the schedule runs."""

import json
import time

from e2e_steps.scene import BACKFILL, START, Scene, covered, equal, expect, whole

WINDOWS = 40


def backfill(scene: Scene) -> None:
    """Loads forty windows, at least four at a time, while the chain grows and the schedule follows its tip."""
    first, last = BACKFILL
    machine = scene.session.client("stepfunctions")
    scene.ingest.configure(Description="cold, for the backfill")
    scheduled = scene.database.loaded().last_ledger
    scene.source.serve(scene.source.tip, tip_every="100ms")
    begun, begun_ms = time.monotonic(), int(time.time() * 1000)
    wanted = {"start_ledger": first, "end_ledger": last, "window_ledgers": (last - first + 1) // WINDOWS}
    execution = machine.start_execution(stateMachineArn=scene.stack.output("BackfillStateMachine"), input=json.dumps(wanted))["executionArn"]
    runs = 0
    while (state := machine.describe_execution(executionArn=execution))["status"] == "RUNNING":
        expect(time.monotonic() - begun < 300, "the backfill still runs after 300 s")
        scene.good_run()
        runs += 1
        time.sleep(0.5)
    seconds = time.monotonic() - begun
    told = state.get("output") or f"{state.get('error')}: {state.get('cause')}"
    equal(state["status"], "SUCCEEDED", f"the backfill ({told[:600]})")
    covered(scene, first, last)
    windows = len(scene.database.windows(first, last))
    expect(windows >= WINDOWS, f"the backfill is {windows} windows, fewer than the {WINDOWS} of its plan")
    # An environment serves one invocation at a time, and another is made only when all are taken: so many were at work at
    # once. One of them is the schedule's.
    environments = len({one.stream for one in scene.ingest.invocations(begun_ms)})
    expect(environments >= 5, f"only {environments} environments were at work at once, with the schedule's")
    followed = scene.database.value(
        "select count(*) from contract_data.ingestion_progress where status = 'completed' and start_ledger > %s", scheduled
    )
    expect(runs and followed, f"the schedule ran {runs} times during the backfill and loaded {followed} windows")
    # The chain stops where it is: a tip beyond what has been served would be another moment of the same chain.
    scene.source.serve(max(scene.database.loaded().last_ledger, scene.source.tip) + 500)
    scene.good_run()
    covered(scene, START, scene.source.tip)
    whole(scene)
    scene.figures["backfill"] = f"{windows} windows in {seconds:.1f} s, {environments - 1} at a time; {followed} of the schedule meanwhile"
    print(scene.figures["backfill"])
