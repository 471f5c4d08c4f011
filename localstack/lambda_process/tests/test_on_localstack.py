"""The plug-in in LocalStack itself, through the API of Lambda. Starts a LocalStack of its own."""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
AWS = HERE.parents[1] / "aws"
ROLE = "arn:aws:iam::000000000000:role/any"


def code() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.create_system, entry.external_attr = 3, 0o100755 << 16
        archive.writestr(entry, f"#!{sys.executable}\n{(HERE / 'stub_bootstrap.py').read_text()}")
    return made.getvalue()


class OnLocalStack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.addClassCleanup(subprocess.run, [AWS, "stop", directory.name], check=True)
        started = subprocess.run(
            [AWS, "start", directory.name],
            env=os.environ | {"LAMBDA_RETRY_BASE_DELAY": "1"},
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        )
        cls.endpoint = started.stdout.strip()
        cls.function = cls.client("lambda")
        cls.function.create_function(
            FunctionName="stub",
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=ROLE,
            Code={"ZipFile": code()},
            Timeout=2,
            MemorySize=256,
            Environment={"Variables": {"OWN": "value"}},
        )
        cls.function.get_waiter("function_active_v2").wait(FunctionName="stub", WaiterConfig={"Delay": 1})

    @classmethod
    def client(cls, service):
        session = boto3.Session("test", "test", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1})
        cls.addClassCleanup((client := session.client(service, endpoint_url=cls.endpoint, config=config)).close)
        return client

    def invoke(self, **event):
        answer = self.function.invoke(FunctionName="stub", Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), answer.get("FunctionError")

    def test_the_variables_are_those_of_lambda_and_of_the_function(self):
        answer, error = self.invoke(do="environment")
        self.assertIsNone(error)
        variables = answer["variables"]
        self.assertEqual(variables["OWN"], "value")
        self.assertEqual(variables["AWS_LAMBDA_FUNCTION_NAME"], "stub")
        self.assertEqual(variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "256")
        self.assertEqual(variables["AWS_LAMBDA_FUNCTION_VERSION"], "$LATEST")
        self.assertEqual(variables["AWS_REGION"], "us-east-1")
        self.assertEqual(variables["AWS_ENDPOINT_URL"], self.endpoint)
        self.assertEqual(os.path.realpath(variables["LAMBDA_TASK_ROOT"]), answer["directory"])
        self.assertEqual([name for name in variables if "LOCALSTACK" in name or name in ("HOME", "USER", "TMPDIR")], [])

    def test_the_deadline_is_that_of_the_configuration(self):
        answer, _ = self.invoke(do="headers")
        left = int(answer["headers"]["Lambda-Runtime-Deadline-Ms"]) - answer["now_ms"]
        self.assertTrue(1500 < left <= 2000, left)

    def test_a_timeout_and_an_error_come_to_the_caller(self):
        answer, error = self.invoke(do="sleep", seconds=30)
        self.assertEqual((answer["errorType"], error), ("Sandbox.Timedout", "Unhandled"))
        answer, error = self.invoke(do="error", message="no")
        self.assertEqual((answer, error), ({"errorType": "Stub.Error", "errorMessage": "no"}, "Unhandled"))

    def test_four_invocations_at_once_are_four_processes(self):
        with ThreadPoolExecutor(4) as pool:
            begun = time.monotonic()
            answers = list(pool.map(lambda _: self.invoke(do="sleep", seconds=1), range(4)))
            self.assertLess(time.monotonic() - begun, 3.5)
        self.assertEqual([error for _, error in answers], [None] * 4)

    def test_the_log_is_in_cloudwatch_logs(self):
        self.invoke(do="nothing")
        logs, until = self.client("logs"), time.monotonic() + 20
        found = []
        while not any(line.startswith("REPORT") and "Max Memory Used" in line for line in found) and time.monotonic() < until:
            time.sleep(0.2)
            found = [one["message"] for one in logs.filter_log_events(logGroupName="/aws/lambda/stub")["events"]]
        self.assertTrue(any("Max Memory Used" in line for line in found), found)
        self.assertTrue(any(line.startswith("START RequestId") for line in found), found)

    def test_an_asynchronous_failure_is_tried_again_and_goes_to_the_dead_letter_queue(self):
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName="letters")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.function.put_function_event_invoke_config(
            FunctionName="stub", MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": arn}}
        )
        self.function.invoke(FunctionName="stub", InvocationType="Event", Payload=json.dumps({"do": "exit", "code": 7}))
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        letter = json.loads(messages[0]["Body"])
        self.assertEqual(letter["requestContext"]["approximateInvokeCount"], 2)
        self.assertEqual(letter["responsePayload"]["errorType"], "Runtime.ExitError")


if __name__ == "__main__":
    unittest.main()
