"""Changes the code of a stack that holds data, and changes it back."""

import hashlib
import shutil
import threading
import time
import zipfile

from e2e_steps.scene import START, WINDOW_LEDGERS, Scene, covered, equal, expect, whole


def upgrade(scene: Scene) -> None:
    """Runs infra/deploy with other zips: schedules pause, the code changes, the schema is migrated, schedules resume."""
    before, code = scene.database.loaded(), _code(scene)
    scene.zips = _other_zips(scene)
    states = _watched(scene, lambda: print(scene.stack.deploy("--zips", str(scene.zips)).strip()))
    expect("DISABLED" in states, f"the schedules were not paused meanwhile: {states}")
    equal(states[-1], "ENABLED", "the state of the schedule in the end")
    upgraded = _code(scene)
    expect(all(upgraded[name] != code[name] for name in code), f"the code is as it was: {upgraded}")
    equal(scene.database.loaded(), before, "what is loaded, before and after the upgrade")
    _goes_on(scene)

    print(scene.stack.deploy("--rollback").strip())
    equal(_code(scene), code, "the code after going back")
    equal({one["State"] for one in scene.schedules()}, {"ENABLED"}, "states of the schedules after going back")
    _goes_on(scene)


def _goes_on(scene: Scene) -> None:
    scene.source.advance(2 * WINDOW_LEDGERS)
    scene.good_run()
    covered(scene, START, scene.source.tip)
    whole(scene)


def _code(scene: Scene) -> dict[str, str]:
    """The digest of each function's code."""
    return {one.name: one.configuration()["CodeSha256"] for one in (scene.ingest, scene.maintain)}


def _other_zips(scene: Scene):
    """The same programs in zips with one more file, which makes them another release."""
    folder = scene.work / "next-zips"
    folder.mkdir()
    for old in scene.zips.glob(f"*-{scene.architecture}-*.zip"):
        made = folder / "made.zip"
        shutil.copy(old, made)
        with zipfile.ZipFile(made, "a") as archive:
            archive.writestr("release.txt", "the next one\n")
        digest = hashlib.sha256(made.read_bytes()).hexdigest()[:16]
        made.rename(folder / f"{old.name.rpartition('-')[0]}-{digest}.zip")
    return folder


def _watched(scene: Scene, work) -> list[str]:
    """Runs it, and returns the states of ingest's schedule meanwhile, in order."""
    states, done = [], threading.Event()

    def watch():
        while True:
            ended = done.is_set()  # before the look: the last look is after the end
            [state] = {one["State"] for one in scene.schedules() if scene.ingest.name in one["Target"]["Arn"]}
            if states[-1:] != [state]:
                states.append(state)
            if ended:
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return states
