"""Clients of one AWS endpoint."""

import functools

import boto3
from botocore.config import Config


class Session:
    """The APIs at one endpoint, as the account `test` that LocalStack takes anybody for. Safe to share between threads."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self._session = boto3.Session(
            aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
        )

    @functools.cache
    def client(self, service: str):
        # An invocation may take the 15 minutes that Lambda gives it, and must not be sent twice.
        config = Config(read_timeout=930, connect_timeout=5, retries={"total_max_attempts": 1}, max_pool_connections=50)
        return self._session.client(service, endpoint_url=self.endpoint, config=config)
