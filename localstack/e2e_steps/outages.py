"""Source, password and S3 fail, and recover."""

import secrets
import time

import psycopg
from psycopg import sql

from e2e_steps.events import dead_letter
from e2e_steps.refusing_s3 import RefusingS3
from e2e_steps.scene import START, TIMEOUT, WINDOW_LEDGERS, Scene, covered, equal, expect, good, refused, until, whole


def source_down(scene: Scene) -> None:
    """The source is down when the schedule fires, and up when Lambda retries: no operator is needed."""
    scene.source.stop()
    before = scene.database.loaded()
    print(refused(scene.run(), "Retryable", "source", str(scene.source.port)))
    equal(scene.database.loaded(), before, "what is loaded, before and after a run without source")
    begun = int(time.time() * 1000)
    scene.fire(scene.ingest)
    attempt = until(lambda: scene.ingest.invocations(begun), TIMEOUT + 10, "the schedule's invocation is in no log")[0]
    scene.source.advance(4 * WINDOW_LEDGERS)
    until(lambda: not scene.database.uncovered(START, scene.source.tip), 3 * TIMEOUT, "no later attempt loaded what was missing")
    whole(scene)
    # The rows are there a moment before their invocation has ended and is in the log.
    attempts = lambda: [one.request_id for one in scene.ingest.invocations(begun)].count(attempt.request_id)
    until(lambda: attempts() >= 2, TIMEOUT, f"the windows are there, and not by another attempt of {attempt.request_id}")
    equal(dead_letter(scene, attempt.request_id), None, "the letter of an invocation that succeeded in the end")


def password_rotated(scene: Scene) -> None:
    """The loader's password changes in PostgreSQL and in the secret: a warm function's next connection uses the new one."""
    arn = scene.ingest.configuration()["Environment"]["Variables"]["DB_SECRET_ARN"]
    before = scene.run()
    good(before)
    warm = scene.ingest.logged(before.request_id).stream
    value, password = scene.stack.secret(arn), secrets.token_hex(16)
    name = value["username"]
    with psycopg.connect(scene.database.url, autocommit=True) as connection:
        connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(name), password))
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [name])
        refusal = None
        try:
            psycopg.connect(scene.database.url, user=name, password=value["password"]).close()
        except psycopg.OperationalError as error:
            refusal = error
        expect(refusal, "PostgreSQL still takes the password before")
    scene.stack.put_secret(arn, value | {"password": password})
    scene.source.advance(2 * WINDOW_LEDGERS)
    answer = scene.run()
    result = good(answer)
    equal(scene.ingest.logged(answer.request_id).stream, warm, "the environment of the run after the rotation")
    expect(result["windows"], "the run after the rotation loaded nothing")
    covered(scene, START, scene.source.tip)
    whole(scene)


def s3_refuses(scene: Scene) -> None:
    """S3 answers SlowDown to every write: the run fails and loads nothing. Once S3 recovers, the next run loads all."""
    scene.source.advance(4 * WINDOW_LEDGERS)
    before = scene.database.loaded()
    proxy = RefusingS3(scene.session.endpoint)
    try:
        scene.ingest.configure(Variables={"AWS_ENDPOINT_URL_S3": proxy.endpoint})
        print(refused(scene.run(), "Retryable", "stag"))
        expect(proxy.refused > 0, "the run failed before it wrote to S3")
        equal(scene.database.loaded(), before, "what is loaded, before and after a run that could not write")
        proxy.refusing = False
        equal(scene.good_run()["caught_up"], True, "caught_up of the run after that")
        expect(proxy.passed >= 4, f"only {proxy.passed} writes came to S3")
    finally:
        scene.ingest.configure(Variables={"AWS_ENDPOINT_URL_S3": None})
        proxy.close()
    covered(scene, START, scene.source.tip)
    whole(scene)
