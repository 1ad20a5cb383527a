"""Starts, changes and watches framevisor projects from a script.

    import framevisor

    with framevisor.up({"cameras": {"front": {"url": "test:"}}}, project="yard") as yard:
        yard.wait(flowing=True)
        yard.add({"cameras": {"back": {"url": "test:"}}})
        yard.restart("front*")
        for event in yard.events():
            print(event.worker, event.to, event.reason)

A project that runs already is `framevisor.connect("yard")`. Everything here speaks to the supervisor over
the project's control socket (docs/protocol.md); pictures are the business of the `shmring` module."""

from ._errors import Error, Invalid, NotRunning, Refused, TimedOut
from ._place import runtime_dir
from ._project import Project, connect, plan, up
from ._words import Event, LogLine, Ring, Worker

__all__ = [
    "Error",
    "Event",
    "Invalid",
    "LogLine",
    "NotRunning",
    "Project",
    "Refused",
    "Ring",
    "TimedOut",
    "Worker",
    "connect",
    "plan",
    "runtime_dir",
    "up",
]
