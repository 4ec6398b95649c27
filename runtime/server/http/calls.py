"""The short way from the gate to a route whose requests are calls of the engine, past the layers of
Starlette and FastAPI, which such a request needs nothing of. Wrapped round the application by
app.py."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from .door import CALLS


class CallRoutes:
    """Serves POST on the routes of door.py's `CALLS`, as the application would; all else is the
    application's. What an endpoint raises gets the application's answer to it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._routes = {
            route.path: route
            for route in app.routes
            if isinstance(route, APIRoute) and route.path in CALLS
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        request = Request(scope, receive)
        try:
            response: Response = await route.endpoint(request)
            await response(scope, receive, noted)
        except Exception as error:
            answer = self._answer_to(type(error))
            if not started:
                await (await answer(request, error))(scope, receive, send)
            if started or answer is self._app.exception_handlers[Exception]:
                raise  # for the log

    def _answer_to(self, kind: type[Exception]) -> Any:
        handlers = self._app.exception_handlers
        return next(handlers[base] for base in kind.__mro__ if base in handlers)
