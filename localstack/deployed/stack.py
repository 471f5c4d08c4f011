"""The CloudFormation stack of infra/template.yaml."""

import functools
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from deployed import Problem
from deployed.functions import Function
from deployed.session import Session

DEPLOY = Path(__file__).parents[2] / "infra" / "deploy"


@dataclass(frozen=True)
class Stack:
    """One stack, by name, and the bucket of its zips."""

    session: Session
    name: str
    code_bucket: str

    def deploy(self, *arguments: str) -> str:
        """Runs infra/deploy for this stack: what deploys to AWS deploys here. Returns what it said."""
        s3 = self.session.client("s3")
        try:
            s3.create_bucket(Bucket=self.code_bucket)
        except s3.exceptions.BucketAlreadyOwnedByYou:
            pass
        variables = os.environ | {
            "AWS_ENDPOINT_URL": self.session.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        command = [str(DEPLOY), "--stack", self.name, "--bucket", self.code_bucket, *arguments]
        done = subprocess.run(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Problem(f"infra/deploy ended with {done.returncode}: {done.stdout[-1500:]}")
        return done.stdout

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

    def outputs(self) -> dict[str, str]:
        try:
            present = self.session.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                raise Problem(f"there is no stack {self.name}: deploy it first") from error
            raise
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
