"""One connection to the control socket: a line out, a line back."""

import json
import socket

from ._errors import Error, NotRunning, Refused, TimedOut

VERSION = 1
#: The supervisor never blocks: a longer silence is a stopped or broken one.
ANSWER_WITHIN_S = 10.0


class Connection:
    def __init__(self, runtime_dir):
        self.path = str(runtime_dir / "control.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(self.path)
        except PermissionError as cause:
            self._socket.close()
            text = f"{self.path}: permission denied; be the user who started the project, or root"
            raise NotRunning(text) from cause
        except OSError as cause:
            self._socket.close()
            text = f"not running: nothing answers at {self.path}; start it with `framevisor up`"
            raise NotRunning(text) from cause
        self._read = bytearray()
        self._next_id = 1

    def ask(self, verb, within_s=ANSWER_WITHIN_S, **args):
        request = {"v": VERSION, "id": self._next_id, "verb": verb, "args": args or None}
        self._next_id += 1
        try:
            self._socket.settimeout(within_s)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._line()
        except TimeoutError as cause:
            raise TimedOut(f"{verb}: no answer of {self.path} within {within_s:g} s") from cause
        except OSError as cause:
            raise NotRunning(f"{verb}: {self.path}: {cause}") from cause
        if line is None:
            raise NotRunning(f"{verb}: {self.path} was closed: the supervisor has ended")
        reply = json.loads(line)
        if error := reply.get("error"):
            raise Refused(error.get("code", ""), error.get("text", ""), error.get("hint", ""))
        return reply.get("ok")

    def next_event(self, timeout_s=None):
        """The next line of a verb that was asked to follow; None when the supervisor has ended."""
        self._socket.settimeout(timeout_s)
        try:
            line = self._line()
        except ConnectionResetError:
            return None
        except TimeoutError as cause:
            raise TimedOut(f"no event within {timeout_s:g} s") from cause
        if line is None:
            return None
        event = json.loads(line)
        if "event" not in event:
            raise Error(f"{self.path}: expected an event, saw {line[:200]!r}")
        return event["event"]

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()

    def _line(self):
        """One line; None at the end. What comes behind it is kept, also when time is up within a line."""
        while (end := self._read.find(b"\n")) < 0:
            chunk = self._socket.recv(65536)
            if not chunk:
                return None
            self._read += chunk
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line
