"""Imported by Python itself in every process of a runtime that a test starts with this folder on
PYTHONPATH: once the test says so, writes down what no request may cause. See ../test_audit.py.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
import typing

FOLDER = os.environ.get("BRANCHLINE_AUDIT", "")
# To unpickle, to run code that was text, to start programs, to connect, to write files.
WATCHED = {
    *("pickle.find_class", "marshal.loads", "exec", "compile", "code.__new__"),
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen"),
    *("socket.connect", "socket.getaddrinfo", "open", "os.remove", "os.rename", "os.mkdir"),
    *("ctypes.dlopen", "shutil.rmtree"),
}
WORKER = "branchline.runtime.constrained.worker"
TYPING = typing.__file__
_within = threading.local()


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event not in WATCHED or getattr(_within, "audit", False):
        return
    _within.audit = True
    try:
        if os.path.exists(f"{FOLDER}/armed") and not _is_harmless(event, arguments):
            with open(f"{FOLDER}/{os.getpid()}.events", "a") as file:
                place = "".join(traceback.format_stack(limit=6)[:-1])
                file.write(f"{event} {str(arguments)[:200]}\n{place}\n")
    finally:
        _within.audit = False


def _is_harmless(event: str, arguments: tuple[object, ...]) -> bool:
    """Reading is allowed, importing modules when they are first needed, evaluating annotations,
    and the process that works on grammars."""
    if event == "subprocess.Popen" and WORKER in str(arguments):
        return True
    frame = sys._getframe(1).f_back
    if frame is not None and frame.f_code.co_filename == "<frozen runpy>":
        return event == "exec"  # a process's own main module
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or file == TYPING:
            return True
        frame = frame.f_back
    if event != "open":
        return False
    path, mode, flags = arguments
    if isinstance(path, int):  # open already
        return True
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    if isinstance(mode, str):
        return not set(mode) & set("wax+")
    return not int(str(flags)) & writes


if FOLDER:
    sys.addaudithook(_audit)
