"""Keys for clients on other machines (CURVE, https://rfc.zeromq.org/spec/26/): who may connect, and
`python -m branchline.runtime.server.curve DIR NAME`, which makes a pair. Used by front.py.

Key files are pyzmq's certificates: NAME.key is public, NAME.key_secret holds both halves.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq
import zmq.auth
from zmq.utils import z85

from .endpoint import EndpointError

_DOMAIN: Final = "branchline"


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """The server's own pair, and the public keys of those who may connect."""

    public: bytes
    secret: bytes
    clients: frozenset[bytes]


def load_keys(secret_file: str, clients_dir: str) -> CurveKeys:
    """Keys from files. Raises EndpointError, for the user to read."""
    path = Path(secret_file)
    try:
        if path.stat().st_mode & 0o077:
            raise EndpointError(f"others may read the secret key {path}; run: chmod 600 {path}")
        public, secret = zmq.auth.load_certificate(path)
        clients = frozenset(zmq.auth.load_certificates(clients_dir))
    except (OSError, ValueError) as error:
        raise EndpointError(f"cannot load CURVE keys: {error}") from None
    if secret is None:
        raise EndpointError(f"{path} holds no secret key; give the file NAME.key_secret")
    if not clients:
        raise EndpointError(f"no public key of a client (NAME.key) is in {clients_dir}")
    return CurveKeys(public, secret, clients)


class Gatekeeper:
    """Answers libzmq's question whether a client's key is known (ZAP,
    https://rfc.zeromq.org/spec/27/).

    It must stand before the socket binds: without one libzmq lets every key in.
    `socket` is to be polled.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: CurveKeys) -> None:
        self._keys = keys
        self._known = frozenset(z85.decode(key) for key in keys.clients)
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind("inproc://zeromq.zap.01")

    def guard(self, router: zmq.Socket[bytes]) -> None:
        """Let only known keys connect to a socket; call it before it binds."""
        router.setsockopt(zmq.CURVE_SERVER, 1)
        router.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
        router.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
        router.setsockopt_string(zmq.ZAP_DOMAIN, _DOMAIN)
        router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def answer(self) -> None:
        """Decide about the clients that want to connect. Default deny."""
        while True:
            try:
                version, number, _domain, _address, _identity, *credentials = (
                    self.socket.recv_multipart(zmq.NOBLOCK)
                )
            except zmq.Again:
                return
            known = len(credentials) == 2 and credentials[0] == b"CURVE"
            known = known and credentials[1] in self._known
            verdict = (b"200", b"OK") if known else (b"400", b"unknown key")
            self.socket.send_multipart((version, number, *verdict, b"", b""))

    def close(self) -> None:
        self.socket.close(linger=0)


def main(argv: list[str]) -> int:
    """Make a pair of keys."""
    if len(argv) != 2:
        print("usage: python -m branchline.runtime.server.curve DIR NAME", file=sys.stderr)
        return 2
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    public, secret = zmq.auth.create_certificates(folder, argv[1])
    Path(secret).chmod(0o600)
    print(f"{public} (give it to the other side)\n{secret} (keep it)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
