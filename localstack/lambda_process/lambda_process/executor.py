"""The executor that LocalStack calls, selected by LAMBDA_RUNTIME_EXECUTOR=process."""

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from lambda_process.environment import Environment, Function, Request

# What LocalStack tells its own program in the container; Lambda's environments do not have them.
NOT_OF_LAMBDA = ("LOCALSTACK_", "EDGE_PORT", "_AWS_XRAY_", "AWS_LAMBDA_FUNCTION_TIMEOUT")
HOST = "127.0.0.1"


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *arguments, **named):
        return ProcessExecutor


class ProcessExecutor(RuntimeExecutor):
    """One execution environment for LocalStack's Lambda service, which makes one per concurrent invocation."""

    def __init__(self, id: str, function_version: FunctionVersion):
        super().__init__(id=id, function_version=function_version)
        self._environment: Environment | None = None

    def start(self, env_vars: dict[str, str]) -> None:
        configuration = self.function_version.config
        task_root = configuration.code.get_unzipped_code_location()
        self._environment = Environment(
            Function(
                task_root=task_root,
                variables=variables(env_vars, configuration.environment or {}, str(task_root)),
                version=self.function_version.id.qualifier,
                timeout_seconds=configuration.timeout,
                memory_size_mb=configuration.memory_size,
            )
        )
        self._environment.start()

    def stop(self) -> None:
        if self._environment:
            self._environment.stop()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        request_id = payload["invoke-id"]
        request = Request(request_id, payload["invoked-function-arn"], payload["trace-id"], payload["payload"].encode())
        answer = self._environment.invoke(request)
        return InvocationResult(request_id, answer.body, answer.is_error, answer.log)

    def get_address(self) -> str:
        return HOST

    def get_endpoint_from_executor(self) -> str:
        return HOST

    def get_runtime_endpoint(self) -> str:
        return f"http://{HOST}:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    def get_logs(self) -> str:
        return ""  # every line is in the answer of its invocation

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        pass  # the code goes with the function


def variables(of_localstack: dict, of_function: dict[str, str], task_root: str) -> dict[str, str]:
    """The environment variables of a bootstrap: Lambda's, overridden by the function's."""
    kept = {name: str(value) for name, value in of_localstack.items() if not name.startswith(NOT_OF_LAMBDA)}
    own = {"LAMBDA_TASK_ROOT": task_root, "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG": "en_US.UTF-8"}
    return kept | own | of_function
