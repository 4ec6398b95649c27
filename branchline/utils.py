"""Small helpers around programs: JSON lines, states written down, an HTTP request. Named as in
SGLang."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from .lang.state import ProgramState


def read_jsonl(filename: str | Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file. Empty lines and lines that begin with # are passed over.

    Raises ValueError naming the line that is not JSON.
    """
    objects = []
    with open(filename, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                objects.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"{filename}:{number}: no JSON: {error}") from None
    return objects


def dump_state_text(filename: str | Path, states: Iterable[object], mode: str = "w") -> None:
    """Write the texts of states to a file, each under a line with its number. What is no state is
    written as `str` has it."""
    with open(filename, mode, encoding="utf-8") as file:
        for number, state in enumerate(states):
            text = state.text() if isinstance(state, ProgramState) else str(state)
            file.write(f"{'=' * 40} {number} {'=' * 40}\n{text}\n\n")


def download_and_cache_file(url: str, filename: str | None = None) -> str:
    """The path of a file that is at `url`: fetched once, then read from the temporary folder, or
    from `filename`. Raises OSError when it cannot be had."""
    name = url.rpartition("/")[2]
    path = Path(tempfile.gettempdir(), name) if filename is None else Path(filename)
    if not path.exists():
        answer = http_request(url, stream=True)
        if answer.status_code != 200:
            raise OSError(f"{url}: HTTP status {answer.status_code}")
        # A download that breaks off leaves no file that would be taken for the whole.
        part = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with part.open("wb") as file:
                shutil.copyfileobj(answer.stream, file)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return str(path)


def print_highlight(html_content: object) -> None:
    """What SGLang's notebooks show their results with: `print`."""
    print(html_content)


class HttpResponse:
    """An answer: `status_code`, and its body as `text`, `json()`, or line by line as it comes."""

    def __init__(self, body: IO[bytes], status_code: int) -> None:
        self.status_code = status_code
        self.stream = body
        self._body: bytes | None = None

    @property
    def text(self) -> str:
        if self._body is None:
            self._body = self.stream.read()
        return self._body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.text)

    def iter_lines(self) -> Iterator[bytes]:
        lines = self.stream if self._body is None else self._body.splitlines()
        for line in lines:
            yield line.rstrip(b"\r\n")


def http_request(
    url: str,
    json: Any = None,
    stream: bool = False,
    api_key: str | None = None,
    verify: bool | str | None = None,
    method: str | None = None,
) -> HttpResponse:
    """One HTTP request: POST with a JSON body where `json` is given, else GET, or `method`.

    A refusal (status 400 and above) is an answer, too. `verify=False` takes any certificate, a
    path is that of the authorities to trust. With `stream` the body is read as it is asked for.
    Raises OSError when nobody answers.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"http_request: {url!r}: expected an http:// or https:// address")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    body = None if json is None else _json_bytes(json)
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        answer = urllib.request.urlopen(request, context=_context(verify))
    except urllib.error.HTTPError as refusal:
        answer = refusal
    response = HttpResponse(answer, answer.status)
    if not stream:
        with answer:
            _ = response.text
    return response


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def _context(verify: bool | str | None) -> ssl.SSLContext | None:
    if verify is None or verify is True:
        return None
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    return ssl.create_default_context(cafile=verify)
