"""The CloudFormation stack of infra/template.yaml."""

import functools
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from deployed import Problem
from deployed.functions import Function
from deployed.session import Session


def zip_key(zip_file: Path, function: str, architecture: str, prefix: str = "") -> str:
    """The key of a zip: other bytes are another key, so a stack knows that it has other code."""
    digest = hashlib.sha256(zip_file.read_bytes()).hexdigest()[:16]
    return f"{prefix}{function}-{architecture}-{digest}.zip"


@dataclass(frozen=True)
class Stack:
    """One stack, by name, and the bucket of its zips."""

    session: Session
    name: str
    code_bucket: str

    def make_code_bucket(self) -> None:
        try:
            self.session.client("s3").create_bucket(Bucket=self.code_bucket)
        except self.session.client("s3").exceptions.BucketAlreadyOwnedByYou:
            pass

    def upload(self, zip_file: Path, function: str, architecture: str) -> str:
        """Puts a zip where the stack takes it from. Returns its key."""
        key = zip_key(zip_file, function, architecture)
        self.session.client("s3").upload_file(str(zip_file), self.code_bucket, key)
        return key

    def put_secret(self, name: str, value: dict) -> str:
        """Gives a secret, by name or ARN, another value; makes it when there is none. Returns its ARN."""
        secrets, text = self.session.client("secretsmanager"), json.dumps(value)
        try:
            return secrets.put_secret_value(SecretId=name, SecretString=text)["ARN"]
        except secrets.exceptions.ResourceNotFoundException:
            return secrets.create_secret(Name=name, SecretString=text)["ARN"]

    def secret(self, arn: str) -> dict:
        """The value of a secret."""
        return json.loads(self.session.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])

    def deploy(self, template: Path, parameters: dict[str, str], seconds: float = 300) -> dict[str, str]:
        """Creates the stack, or updates it; parameters that are not given keep their value. Returns its outputs."""
        s3, cloudformation = self.session.client("s3"), self.session.client("cloudformation")
        s3.upload_file(str(template), self.code_bucket, "template.yaml")  # its text is too long for the API itself
        request = {
            "StackName": self.name,
            "TemplateURL": f"{self.session.endpoint}/{self.code_bucket}/template.yaml",
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        }
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        present = self.describe()
        try:
            if present is None:
                cloudformation.create_stack(**request, Parameters=given, OnFailure="DO_NOTHING")
            else:
                kept = {one["ParameterKey"] for one in present.get("Parameters", [])} - parameters.keys()
                given += [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)]
                cloudformation.update_stack(**request, Parameters=given)
        except ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
        return self.wait(seconds)

    def wait(self, seconds: float) -> dict[str, str]:
        """Waits until it is deployed. Returns its outputs."""
        until = time.monotonic() + seconds
        while True:
            present = self.describe()
            status = present["StackStatus"]
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                return self.outputs()
            if not status.endswith("_IN_PROGRESS"):
                raise Problem(f"the stack {self.name} is {status}: {self.first_failure()}")
            if time.monotonic() > until:
                raise Problem(f"the stack {self.name} is still {status} after {seconds:.0f} s")
            time.sleep(0.3)

    def describe(self) -> dict | None:
        """The stack, or None when there is none."""
        try:
            return self.session.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def first_failure(self) -> str:
        events = self.session.client("cloudformation").describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [one for one in events if one.get("ResourceStatus", "").endswith("_FAILED")]
        if not failed:
            return "no resource says why"
        one = failed[-1]
        return f"{one['LogicalResourceId']} ({one['ResourceType']}): {one.get('ResourceStatusReason', 'no reason')}"

    def outputs(self) -> dict[str, str]:
        present = self.describe()
        if present is None:
            raise Problem(f"there is no stack {self.name}: deploy it first")
        return {one["OutputKey"]: one["OutputValue"] for one in present.get("Outputs", [])}

    def output(self, name: str) -> str:
        outputs = self.outputs()
        if name not in outputs:
            raise Problem(f"the stack {self.name} has no output {name}; it has {', '.join(sorted(outputs)) or 'none'}")
        return outputs[name]

    @functools.cached_property
    def ingest(self) -> Function:
        return Function(self.session, self.output("IngestFunction"))

    @functools.cached_property
    def maintain(self) -> Function:
        return Function(self.session, self.output("MaintainFunction"))
