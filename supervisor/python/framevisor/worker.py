"""For programs that a topology runs (`run:`): says how they are, and takes messages.

    from framevisor import worker

    link = worker.link()              # says hello: from now on the supervisor waits for ready()
    model = load()
    link.ready()
    for message in link.messages():   # ends when the project, or a person, stops the worker
        model.threshold = message.data["threshold"]
        message.reply({"was": old})

`link.fileno()` can be polled beside other descriptors; `link.messages(timeout=0)` then takes what is
there. The protocol is that of docs/protocol.md."""

import json
import os
import select
import socket

from ._connection import VERSION
from ._errors import Error

DATAGRAM_BYTES = 64 * 1024


def link():
    """The control link of this process; to be called once, by the worker itself."""
    number = os.environ.get("FRAMEVISOR_CONTROL_FD")
    if number is None:
        raise Error("FRAMEVISOR_CONTROL_FD is not set: this program is not run by a supervisor")
    return Link(socket.socket(fileno=int(number)))


class Message:
    """What somebody sent with `framevisor send` or `Project.send`."""

    def __init__(self, link, number, data):
        self.data = data
        self._link = link
        self._number = number

    def reply(self, data=None):
        """Any JSON value. Whoever sent the message waits 10 s for it."""
        self._link._say("reply", to=self._number, data=data)

    def refuse(self, text):
        """Replies that it cannot be done, and why, in one line."""
        self._link._say("reply", to=self._number, error=text)


class Link:
    def __init__(self, link):
        self._socket = link
        self._socket.set_inheritable(False)
        self._socket.setblocking(False)
        #: True when the worker was told to stop.
        self.stopping = False
        self._say("hello")

    def ready(self):
        """It can do its work."""
        self._say("ready")

    def condition(self, condition, why=""):
        """How it does: flowing, waiting, degraded or parked, shown by `ps`."""
        self._say("condition", condition=condition, why=why)

    def messages(self, timeout=None):
        """Messages as they come, until the worker is told to stop; with a timeout in seconds until none
        has come for that long."""
        while not self.stopping and (event := self._next_event(timeout)) is not None:
            if "stop" in event:
                self.stopping = True
            elif message := event.get("message"):
                yield Message(self, message["id"], message.get("data"))

    def fileno(self):
        return self._socket.fileno()

    def _next_event(self, timeout):
        """None when no event came in time, or none will come any more."""
        while True:
            if not select.select([self._socket], [], [], timeout)[0]:
                return None
            try:
                datagram = self._socket.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                datagram = b""
            if not datagram:
                self.stopping = True
                return None
            said = json.loads(datagram)
            if "event" in said:
                return said["event"]

    def _say(self, verb, **args):
        # Number 0 asks for no answer, so only events arrive here.
        said = json.dumps({"v": VERSION, "id": 0, "verb": verb, "args": args}).encode()
        if len(said) > DATAGRAM_BYTES:
            raise Error(f"{verb}: {len(said)} bytes: at most {DATAGRAM_BYTES} are allowed")
        self._socket.setblocking(True)
        try:
            self._socket.sendall(said)
        except (BrokenPipeError, ConnectionResetError):
            self.stopping = True
        finally:
            self._socket.setblocking(False)
