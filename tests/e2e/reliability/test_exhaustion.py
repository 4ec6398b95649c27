"""The front process has no file left to open (R15): programs are served all the same."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from asking import generate
from processes import seconds_until

from branchline.lang.client import ZmqConnection

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="sets limits of running processes"),
]


@contextlib.contextmanager
def served(
    model_dir: Path, temporary: Path, *options: str, limit: str
) -> Iterator[subprocess.Popen[str]]:
    """A server from a shell that sets a limit first; it must end politely."""
    command = [sys.executable, "-m", "branchline.runtime.server", f"--model={model_dir}"]
    command += ["--kv-slots=8192", "--num-threads=1", f"--address-file={temporary / 'address'}"]
    script = f"{limit}; exec {shlex.join([*command, *options])}"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server
            server.terminate()
            assert server.wait(20) == 0
        finally:
            server.kill()


def test_a_crowd_on_http_leaves_files_for_everybody_else(model_dir: Path, temporary: Path) -> None:
    """More connections than the process may open files: programs connect and are served."""
    with served(model_dir, temporary, "--http=127.0.0.1:0", limit="ulimit -n 400") as server:
        assert server.stdout is not None
        words = server.stdout.readline().split()
        host, _, port = words[-1].removeprefix("http://").rpartition(":")
        address = (temporary / "address").read_text().strip()
        crowd: list[socket.socket] = []
        for _ in range(600):
            crowd.append(socket.socket())
            crowd[-1].settimeout(0.2)
            with contextlib.suppress(OSError):
                crowd[-1].connect((host, int(port)))
        for _ in range(20):
            connection = ZmqConnection(address)
            assert generate(connection).outputs
            connection.close()
        for one in crowd:
            one.close()
        client = HTTPConnection(host, int(port), timeout=30)

        def answers() -> bool:
            try:
                client.request("GET", "/ready")
                return client.getresponse().status == 200
            except (OSError, HTTPException):
                client.close()
                return False

        seconds_until(answers, 60)
        client.close()
