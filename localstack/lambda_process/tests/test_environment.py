"""Execution environments against a stub function: `python -m unittest discover localstack/lambda_process`."""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from lambda_process.environment import Environment, Function, Request

STUB = Path(__file__).parent / "stub_bootstrap.py"


class EnvironmentCase(unittest.TestCase):
    def setUp(self):
        self.task_root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.task_root, ignore_errors=True)
        bootstrap = self.task_root / "bootstrap"
        bootstrap.write_text(f"#!{sys.executable}\n{STUB.read_text()}")
        bootstrap.chmod(0o755)

    def environment(self, timeout=5.0, started=True, **variables):
        function = Function(self.task_root, {"PATH": os.environ["PATH"], **variables}, "$LATEST", timeout, 128)
        environment = Environment(function)
        self.addCleanup(environment.stop)
        if started:
            environment.start()
        return environment

    def invoke(self, environment, request_id="r-1", **event):
        return environment.invoke(Request(request_id, "arn:of:it", "Root=1", json.dumps(event).encode()))

    def answer_of(self, environment, **event):
        answer = self.invoke(environment, **event)
        self.assertFalse(answer.is_error, answer)
        return json.loads(answer.body)

    def assert_soon(self, holds):
        """Signals are on their way for a moment."""
        until = time.monotonic() + 5
        while not holds() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertTrue(holds())


class Invocations(EnvironmentCase):
    def test_the_deadline_header_is_the_start_and_the_timeout(self):
        answer = self.answer_of(self.environment(timeout=7), do="headers")
        left = int(answer["headers"]["Lambda-Runtime-Deadline-Ms"]) - answer["now_ms"]
        self.assertTrue(6500 < left <= 7000, left)

    def test_the_headers_name_the_request_and_the_function(self):
        headers = self.answer_of(self.environment(), do="headers")["headers"]
        self.assertEqual(headers["Lambda-Runtime-Aws-Request-Id"], "r-1")
        self.assertEqual(headers["Lambda-Runtime-Invoked-Function-Arn"], "arn:of:it")
        self.assertEqual(headers["Lambda-Runtime-Trace-Id"], "Root=1")

    def test_the_process_has_the_given_variables_and_no_others_and_works_in_the_task_root(self):
        os.environ["LEAK"] = "x"
        self.addCleanup(os.environ.pop, "LEAK")
        answer = self.answer_of(self.environment(GIVEN="1"), do="environment")
        names = set(answer["variables"]) - {"LC_CTYPE"}  # Python sets this one itself
        self.assertEqual(names, {"PATH", "GIVEN", "AWS_LAMBDA_RUNTIME_API"})
        self.assertEqual(answer["directory"], os.path.realpath(self.task_root))

    def test_a_warm_environment_keeps_its_process_which_leads_a_group(self):
        environment = self.environment()
        first, second = self.answer_of(environment, do="process"), self.answer_of(environment, do="process")
        self.assertEqual(first, second)
        self.assertEqual(first["pid"], first["group"])

    def test_an_idle_process_is_frozen(self):
        environment = self.environment()
        pid = self.answer_of(environment, do="process")["pid"]
        self.assert_soon(lambda: state_of(pid) == "T")

    def test_payloads_of_megabytes_come_and_go(self):
        environment = self.environment()
        self.assertEqual(self.answer_of(environment, do="length", text="x" * 5_900_000), 5_900_000)
        self.assertEqual(len(self.answer_of(environment, do="letters", n=6_000_000)), 6_000_000)
        self.assertEqual(len(self.answer_of(environment, do="letters", n=3_000_000, chunked=True)), 3_000_000)

    def test_an_answer_beyond_the_limit_is_refused_and_an_error(self):
        answer = self.invoke(self.environment(), do="letters", n=6 * 1024 * 1024 + 99)
        self.assertTrue(answer.is_error)
        self.assertEqual(json.loads(answer.body)["errorType"], "Function.ResponseSizeTooLarge")
        self.assertIn("answered: 413", answer.log)

    def test_the_body_of_an_error_passes_through(self):
        answer = self.invoke(self.environment(), do="error", message="so it is")
        self.assertTrue(answer.is_error)
        self.assertEqual(json.loads(answer.body), {"errorType": "Stub.Error", "errorMessage": "so it is"})

    def test_a_second_answer_is_refused(self):
        answer = self.invoke(self.environment(), do="nothing", twice=True)
        self.assertEqual(json.loads(answer.body)["do"], "nothing")
        self.assertIn("again: 400", answer.log)

    def test_two_environments_work_at_once(self):
        environments = [self.environment() for _ in range(2)]
        begun = time.monotonic()
        threads = [threading.Thread(target=self.invoke, args=(one,), kwargs={"do": "sleep", "seconds": 1}) for one in environments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLess(time.monotonic() - begun, 1.8)


class Failures(EnvironmentCase):
    def test_at_the_timeout_the_whole_group_is_killed_and_the_next_invocation_has_a_new_one(self):
        environment = self.environment(timeout=1)
        before = self.answer_of(environment, do="process")["pid"]
        begun = time.monotonic()
        answer = self.invoke(environment, do="sleep", seconds=30)
        self.assertTrue(0.9 < time.monotonic() - begun < 2)
        self.assertEqual(json.loads(answer.body)["errorType"], "Sandbox.Timedout")
        self.assertIn("Task timed out after 1.00 seconds", json.loads(answer.body)["errorMessage"])
        self.assertIn("Status: timeout", answer.log)
        self.assertIn("sleeping\n", answer.log)
        child = int(re.search(r"child (\d+)", answer.log)[1])
        self.assert_soon(lambda: gone(before) and gone(child))
        self.assertNotEqual(self.answer_of(environment, do="process")["pid"], before)

    def test_a_frozen_process_is_killed_at_the_timeout_too(self):
        environment = self.environment(timeout=1)
        pid = self.answer_of(environment, do="process")["pid"]
        threading.Timer(0.4, os.kill, (pid, signal.SIGSTOP)).start()
        answer = self.invoke(environment, do="sleep", seconds=30)
        self.assertEqual(json.loads(answer.body)["errorType"], "Sandbox.Timedout")
        self.assert_soon(lambda: gone(pid))

    def test_a_crash_is_an_error_and_the_next_invocation_has_a_new_process(self):
        environment = self.environment()
        answer = self.invoke(environment, do="exit", code=7)
        self.assertTrue(answer.is_error)
        self.assertEqual(json.loads(answer.body)["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 7", json.loads(answer.body)["errorMessage"])
        self.assertIn("leaving\n", answer.log)
        self.assertIn("Error Type: Runtime.ExitError", answer.log)
        self.assertGreater(self.answer_of(environment, do="process")["pid"], 0)

    def test_an_answer_before_a_crash_counts(self):
        environment = self.environment()
        self.assertEqual(self.answer_of(environment, do="nothing", then="die")["then"], "die")
        self.assertGreater(self.answer_of(environment, do="process")["pid"], 0)

    def test_a_process_that_ends_while_idle_is_replaced(self):
        environment = self.environment()
        pid = self.answer_of(environment, do="process")["pid"]
        os.kill(pid, signal.SIGKILL)
        self.assert_soon(lambda: gone(pid))
        self.assertNotEqual(self.answer_of(environment, do="process")["pid"], pid)

    def test_a_stopped_environment_ends_its_invocation(self):
        environment = self.environment(timeout=30)
        threading.Timer(0.5, environment.stop).start()
        answer = self.invoke(environment, do="sleep", seconds=30)
        self.assertEqual(json.loads(answer.body)["errorType"], "Runtime.ExitError")
        self.assertTrue(self.invoke(environment, do="nothing").is_error)


class ColdStarts(EnvironmentCase):
    def test_an_init_that_exits_is_an_error_and_logged_with_what_it_wrote(self):
        (self.task_root / "init").write_text("exit")
        answer = self.invoke(self.environment(), do="nothing")
        self.assertTrue(answer.is_error)
        self.assertEqual(json.loads(answer.body)["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 3", json.loads(answer.body)["errorMessage"])
        self.assertEqual(answer.log.count("initialising: exit"), 2)  # ahead of the invocation, and once more in it
        self.assertRegex(answer.log, r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError")

    def test_an_init_that_succeeds_the_second_time_serves(self):
        (self.task_root / "init").write_text("once")
        self.assertEqual(self.answer_of(self.environment(), do="nothing")["do"], "nothing")

    def test_the_body_of_an_init_error_is_the_answer(self):
        (self.task_root / "init").write_text("error")
        answer = self.invoke(self.environment(), do="nothing")
        self.assertEqual(json.loads(answer.body), {"errorType": "Stub.Init", "errorMessage": "no"})
        self.assertTrue(answer.is_error)

    def test_a_zip_without_a_bootstrap_that_runs_says_so(self):
        (self.task_root / "bootstrap").unlink()
        answer = self.invoke(self.environment(), do="nothing")
        self.assertEqual(json.loads(answer.body)["errorType"], "Runtime.InvalidEntrypoint")


class Logs(EnvironmentCase):
    def test_the_lines_of_an_invocation_stand_between_start_and_report(self):
        answer = self.invoke(self.environment(), do="nothing")
        lines = answer.log.splitlines()
        self.assertEqual(lines[0], "START RequestId: r-1 Version: $LATEST")
        self.assertEqual(json.loads(lines[1]), {"requestId": "r-1", "event": "nothing"})
        self.assertEqual(lines[2], "answered: 202")
        self.assertEqual(lines[3], "END RequestId: r-1")
        self.assertRegex(
            lines[4],
            r"^REPORT RequestId: r-1\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB"
            r"\tMax Memory Used: \d+ MB\tInit Duration: [\d.]+ ms$",
        )
        self.assertEqual(len(lines), 5)

    def test_each_invocation_has_its_own_lines_and_only_the_first_a_cold_start(self):
        environment = self.environment()
        self.invoke(environment, do="nothing")
        answer = self.invoke(environment, request_id="r-2", do="nothing")
        self.assertNotIn("r-1", answer.log)
        self.assertNotIn("Init Duration", answer.log)

    def test_the_memory_reported_is_the_peak_of_the_process(self):
        environment = self.environment()
        small, large = (max_memory(self.invoke(environment, do=what, mb=200)) for what in ("nothing", "memory"))
        self.assertTrue(4 < small < 100, small)
        self.assertTrue(200 <= large < 300, large)

    def test_the_durations_are_those_of_the_work(self):
        answer = self.invoke(self.environment(), do="sleep", seconds=0.5)
        duration = float(re.search(r"\tDuration: ([\d.]+) ms", answer.log)[1])
        self.assertTrue(500 <= duration < 900, duration)


def max_memory(answer):
    return int(re.search(r"Max Memory Used: (\d+) MB", answer.log)[1])


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def gone(pid):
    """Ended; one that nobody has waited for yet counts."""
    try:
        return state_of(pid) in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


if __name__ == "__main__":
    unittest.main()
