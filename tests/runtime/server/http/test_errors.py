"""Which field of a request an error over HTTP names."""

from __future__ import annotations

import pytest

from branchline.runtime.errors import RequestError
from branchline.runtime.server.http.errors import from_request_error


@pytest.mark.parametrize(
    ("code", "pointer", "param"),
    [
        ("grammar", "#/properties/a", "response_format#/properties/a"),
        ("grammar", "sampling.max_new_tokens", "max_tokens"),
        ("invalid_request", "/sampling/min_new_tokens", "min_tokens"),
        ("invalid_request", "sampling.stop.0", "stop.0"),
        ("grammar", None, None),
    ],
)
def test_a_place_on_the_wire_is_a_field_of_the_request(
    code: str, pointer: str | None, param: str | None
) -> None:
    error = from_request_error(RequestError(code, "told", pointer=pointer))  # type: ignore[arg-type]
    assert error.detail.param == param
