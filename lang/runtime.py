"""`bl.Runtime`: a runtime process of one's own together with the endpoint that talks to it."""

from __future__ import annotations

from typing import Any

from .backend.runtime_endpoint import RuntimeEndpoint
from .closing import Closing
from .launch import RuntimeProcess
from .server_args import runtime_options


class Runtime(Closing):
    """Starts a runtime as a separate process; usable as a `with` block and as a `backend`.

    model_path: directory of a Hugging Face checkpoint, a hub id, or "embedded".
    launch_timeout: seconds that loading the model may take.
    bind: where it listens; "ipc" (the default) is a private socket, reachable by this user only.
    options: of `branchline serve`, with underscores, or of `ServerArgs`.

    Raises RuntimeUnavailable, with the runtime's own words, when it cannot start. It ends with
    `shutdown()`, with the `with` block, and with this process however that ends.
    """

    def __init__(
        self,
        model_path: str = "embedded",
        *,
        launch_timeout: float = 300.0,
        bind: str = "ipc",
        chat_template_name: str | None = None,
        **options: str | int | float | None,
    ) -> None:
        self.process = RuntimeProcess(
            str(model_path),
            bind=bind,
            start_timeout_s=launch_timeout,
            **runtime_options(options),
        )
        try:
            self.endpoint = RuntimeEndpoint(
                self.process.address, chat_template_name=chat_template_name
            )
        except BaseException:
            self.process.close()
            raise

    @property
    def address(self) -> str:
        """For `bl.RuntimeEndpoint` in other processes."""
        return self.process.address

    @property
    def pid(self) -> int:
        return self.process.pid

    def flush_cache(self) -> bool:
        return self.endpoint.flush_cache()

    def get_server_info(self) -> dict[str, Any]:
        return self.endpoint.get_server_info()

    def close(self) -> None:
        """End the runtime and wait until it is gone. Calling it again does nothing."""
        try:
            self.endpoint.close()
        finally:
            self.process.close()

    def __repr__(self) -> str:
        return f"Runtime({self.endpoint.model_info.name!r}, {self.address!r})"
