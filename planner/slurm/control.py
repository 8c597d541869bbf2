"""The control socket: one JSON line in, one out, for root, SlurmUser and the daemon's own user.

Requests are short, connections few and short-lived; a flood only makes other callers of the socket wait, never the
daemon, which runs apart from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from topologies.errors import OutputError

__all__ = ["MAX_REQUEST_BYTES", "ControlServer", "ask_daemon"]

MAX_REQUEST_BYTES = 4096
MAX_REPLY_BYTES = 4 * 2**20
MAX_CONNECTIONS = 32
CONNECTION_TIMEOUT_S = 2.0
_CREDENTIALS = struct.Struct("3i")  # struct ucred of SO_PEERCRED: pid, uid, gid


class ControlServer:
    """Serves the socket in a thread of its own.

    Parameters
    ----------
    path
        Made with mode 0600; an old socket file there is replaced.
    answer
        Called with a command's name; returns what is sent back.
    allowed_users
        User numbers that may ask, besides root and the daemon's own.

    Raises
    ------
    OutputError
        If the socket cannot be made.
    """

    def __init__(self, path: Path, answer: Callable[[str], dict[str, Any]], allowed_users: Iterable[int] = ()) -> None:
        self._path, self._answer = path, answer
        self._allowed = {0, os.getuid(), *allowed_users}
        self.refused = 0
        self._stop = threading.Event()
        try:
            path.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            old = os.umask(0o177)
            try:
                self._listener.bind(str(path))
            finally:
                os.umask(old)
            self._listener.listen(MAX_CONNECTIONS)
            self._listener.setblocking(False)
        except OSError as error:
            raise OutputError(what="cannot make the control socket", where=path, found=error) from error
        self._thread = threading.Thread(target=self._serve, name="scaleplan-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and remove the socket file."""
        self._stop.set()
        self._thread.join(timeout=5)
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        open_since: dict[socket.socket, tuple[float, bytearray]] = {}
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _ in selector.select(0.2):
                    if key.fileobj is self._listener:
                        self._accept(selector, open_since)
                    elif isinstance(key.fileobj, socket.socket) and not self._read(key.fileobj, open_since):
                        self._drop(key.fileobj, selector, open_since)
                limit = time.monotonic() - CONNECTION_TIMEOUT_S
                for connection in [c for c, (since, _) in open_since.items() if since < limit]:
                    self._drop(connection, selector, open_since)
            for connection in list(open_since):
                self._drop(connection, selector, open_since)

    def _accept(
        self, selector: selectors.BaseSelector, open_since: dict[socket.socket, tuple[float, bytearray]]
    ) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(open_since) >= MAX_CONNECTIONS:
            oldest = min(open_since, key=lambda c: open_since[c][0])
            self._drop(oldest, selector, open_since)
        if not self._may_ask(connection):
            self.refused += 1
            connection.close()
            return
        connection.setblocking(False)
        open_since[connection] = (time.monotonic(), bytearray())
        selector.register(connection, selectors.EVENT_READ)

    def _may_ask(self, connection: socket.socket) -> bool:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(raw)
        return user in self._allowed

    def _read(self, connection: socket.socket, open_since: dict[socket.socket, tuple[float, bytearray]]) -> bool:
        """Read what has come; answer a whole line. Return whether to keep the connection."""
        buffer = open_since[connection][1]
        try:
            chunk = connection.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        buffer += chunk
        if b"\n" not in buffer:
            return bool(chunk) and len(buffer) <= MAX_REQUEST_BYTES
        self._reply(connection, bytes(buffer.split(b"\n", 1)[0]))
        return False

    def _reply(self, connection: socket.socket, line: bytes) -> None:
        try:
            request = json.loads(line[:MAX_REQUEST_BYTES])
            command = request.get("command") if isinstance(request, dict) else None
            reply = (
                self._answer(command)
                if isinstance(command, str)
                else {"error": "a request is a JSON object with command"}
            )
        except (ValueError, RecursionError):
            reply = {"error": "a request is one line of JSON"}
        with contextlib.suppress(OSError):
            connection.settimeout(CONNECTION_TIMEOUT_S)
            connection.sendall(json.dumps(reply).encode() + b"\n")

    def _drop(
        self,
        connection: socket.socket,
        selector: selectors.BaseSelector,
        open_since: dict[socket.socket, tuple[float, bytearray]],
    ) -> None:
        with contextlib.suppress(KeyError, ValueError):
            selector.unregister(connection)
        open_since.pop(connection, None)
        connection.close()


def ask_daemon(path: Path, command: str, *, timeout_s: float = 10.0) -> dict[str, Any]:
    """Ask the running daemon.

    Raises
    ------
    OutputError
        If it does not answer, or refuses this user.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_s)
            client.connect(str(path))
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
            text = bytearray()
            while not text.endswith(b"\n") and len(text) < MAX_REPLY_BYTES:
                chunk = client.recv(65536)
                if not chunk:
                    break
                text += chunk
        reply = json.loads(text)
    except (OSError, ValueError) as error:
        raise OutputError(
            what="the daemon does not answer",
            where=path,
            found=error,
            fix="start it with scaleplan slurm serve; ask as root or SlurmUser",
        ) from error
    return dict(reply)
