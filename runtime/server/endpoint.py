"""Where the front process listens: private ipc sockets, loopback TCP, and with CURVE keys any TCP.
Used by front.py.

libzmq lets a second process bind the same ipc path and silently take it over, so a lock file
stands beside every socket; and it binds TCP on any interface without a key, so without keys only
loopback addresses pass here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Final

import zmq

PREFIX: Final = "branchline-"
# sun_path holds 108 bytes with its terminating zero.
_MAX_IPC_PATH: Final = 107


class EndpointError(Exception):
    """The front process cannot listen there; the message is for the user."""


class PrivateDirectory:
    """A fresh directory that only this user can enter, gone after `remove`.

    Its lock is held as long as this process lives; directories whose lock is free were left by a
    process that was killed, and are swept by the next one that starts.
    """

    def __init__(self) -> None:
        base = tempfile.gettempdir()
        if len(base) > _MAX_IPC_PATH - 40:
            base = "/tmp"
        _sweep(Path(base))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        self._lock = _lock(self.path / "lock")

    def remove(self) -> None:
        """Delete the directory with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Endpoint:
    """A bound address. `bind` is "ipc" (a socket in `private`), ipc:///path, or tcp://host:port.
    `keyed`: the socket asks its clients for CURVE keys."""

    def __init__(
        self,
        bind: str,
        router: zmq.Socket[bytes],
        private: PrivateDirectory,
        *,
        keyed: bool = False,
    ) -> None:
        self._lock: int | None = None
        self._socket_path: Path | None = None
        if bind == "ipc":
            self._socket_path = private.path / "front.sock"
            self._bind(router, f"ipc://{self._socket_path}")
        elif bind.startswith("ipc://"):
            self._socket_path = Path(bind.removeprefix("ipc://"))
            self._take(self._socket_path)
            self._bind(router, bind)
        elif bind.startswith("tcp://"):
            self._bind(router, _tcp(bind, keyed))
        else:
            raise EndpointError(
                f"cannot listen at {bind!r}; give ipc, ipc:///path, tcp://127.0.0.1:PORT or "
                f"tcp://[::1]:PORT"
            )
        last = router.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(last, bytes)
        self.address = last.rstrip(b"\0").decode()

    def remove(self) -> None:
        """Delete the socket and its lock file, where they are ours."""
        if self._lock is None or self._socket_path is None:
            return
        for path in (self._socket_path, _lock_path(self._socket_path)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        os.close(self._lock)
        self._lock = None

    def _bind(self, router: zmq.Socket[bytes], address: str) -> None:
        # The socket file takes its mode from the umask: nobody else may connect.
        old_umask = os.umask(0o177)
        try:
            router.bind(address)
        except zmq.ZMQError as error:
            self.remove()
            if error.errno == errno.EADDRINUSE:
                raise EndpointError(
                    f"cannot listen at {address}: the port is in use; choose another, or port 0 "
                    f"for any that is free"
                ) from None
            raise EndpointError(f"cannot listen at {address}: {error.strerror}") from None
        finally:
            os.umask(old_umask)

    def _take(self, path: Path) -> None:
        """Make sure that the path is ours to bind, and keep it so."""
        if not path.is_absolute() or len(os.fsencode(path)) > _MAX_IPC_PATH:
            raise EndpointError(
                f"cannot listen at ipc://{path}: give an absolute path of at most "
                f"{_MAX_IPC_PATH} bytes"
            )
        try:
            folder = path.parent.stat()
        except OSError as error:
            raise EndpointError(f"cannot listen at ipc://{path}: {error.strerror}") from None
        if folder.st_uid not in (0, os.geteuid()):
            # Whoever owns a folder may put a socket of their own in the place of ours.
            raise EndpointError(
                f"cannot listen at ipc://{path}: {path.parent} belongs to another user (uid "
                f"{folder.st_uid}); choose a directory of your own"
            )
        if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
            raise EndpointError(
                f"cannot listen at ipc://{path}: every user may replace files in {path.parent}; "
                f"choose a directory of your own"
            )
        self._lock = _lock(_lock_path(path))
        if self._lock is None:
            raise EndpointError(f"a runtime listens at ipc://{path} already; choose another path")
        try:
            _clear(path)
        except EndpointError:
            _lock_path(path).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
            raise


def _tcp(address: str, keyed: bool) -> str:
    """The address, if it may be bound."""
    host, colon, port = address.removeprefix("tcp://").rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        parsed = ipaddress.ip_address(host.strip("[]")) if colon else None
    except ValueError:
        parsed = None
    if parsed is None and keyed:
        raise EndpointError(
            f"cannot listen at {address}: give the IP address of an interface and a port, for "
            f"example tcp://0.0.0.0:5555"
        )
    if not keyed and (parsed is None or not parsed.is_loopback):
        raise EndpointError(
            f"refusing to listen at {address} without keys: anyone could connect; give "
            f"--curve-key and --curve-clients, or tcp://127.0.0.1:PORT or tcp://[::1]:PORT"
        )
    if port != "*" and not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise EndpointError(f"cannot listen at {address}: {port!r} is no port (0 to 65535)")
    return f"tcp://{host}:{port}"


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _lock(path: Path) -> int | None:
    """An exclusive lock on the file, created if need be; None when somebody else holds it."""
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EndpointError(f"cannot lock {path}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except FileNotFoundError:
            pass
        # The last holder deleted the file between our open and our lock: try the new one.
        os.close(fd)


def _clear(path: Path) -> None:
    """Remove a socket that a killed runtime left; refuse anything else that stands there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EndpointError(f"cannot listen at ipc://{path}: a file that is no socket is there")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        except OSError as error:
            raise EndpointError(
                f"cannot listen at ipc://{path}: the socket there is not ours ({error.strerror})"
            ) from None
        else:
            raise EndpointError(f"another program listens at ipc://{path}; choose another path")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise EndpointError(f"cannot replace the socket {path}: {error.strerror}") from None


def _sweep(base: Path) -> None:
    """Remove private directories that a killed front process left behind."""
    for folder in base.glob(PREFIX + "*"):
        lock = folder / "lock"
        with contextlib.suppress(OSError, EndpointError):
            if folder.lstat().st_uid != os.geteuid() or not lock.is_file():
                continue
            fd = _lock(lock)
            if fd is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(fd)
