"""The keys with which a client reaches a runtime on another machine (CURVE); used by client.py and
backend/runtime_endpoint.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import zmq
import zmq.auth


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """The server's public key and this client's own pair, in Z85."""

    server: bytes
    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def load(cls, server_key: str | Path, client_key: str | Path) -> CurveKeys:
        """From the server's NAME.key and one's own NAME.key_secret; raises ValueError, OSError."""
        server, _ = zmq.auth.load_certificate(server_key)
        public, secret = zmq.auth.load_certificate(client_key)
        if secret is None:
            raise ValueError(f"{client_key} holds no secret key; give the file NAME.key_secret")
        return cls(server, public, secret)

    def apply(self, socket: zmq.Socket[bytes]) -> None:
        """Before the socket connects."""
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret)
