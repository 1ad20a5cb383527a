"""Rows of the supervisor's answers. Each keeps in `raw` what it came from, with keys that are not named
here, because a newer supervisor may say more."""

import dataclasses
import datetime


class _Row:
    @classmethod
    def of(cls, raw):
        names = [field.name for field in dataclasses.fields(cls) if field.name != "raw"]
        return cls(**{name: raw.get(name) for name in names}, raw=raw)


@dataclasses.dataclass(frozen=True)
class Worker(_Row):
    name: str
    #: A built-in kind, or `run`.
    kind: str
    #: None while no process runs.
    pid: int | None
    #: starting, ready, running, degraded, stopping, backoff, held, quarantined, stopped...
    state: str
    why: str
    restarts: int
    uptime_s: float
    #: The last death, for example SIGKILL; empty when there was none.
    last_exit: str
    #: Kill to ready at the last restart; None without one.
    restart_ms: float | None
    raw: dict = dataclasses.field(repr=False, compare=False)

    @property
    def is_up(self):
        """It does its work, perhaps not as well as asked."""
        return self.state in ("ready", "running", "degraded")


@dataclasses.dataclass(frozen=True)
class Ring(_Row):
    name: str
    #: packets, frames or events.
    kind: str
    #: 0 while it has no writer yet.
    epoch: int
    #: Sequence of the newest item; 0 before the first.
    head: int
    #: Shared memory, in bytes.
    bytes: int
    live: bool
    #: Since the newest item; None before the first.
    age_ms: int | None
    readers: list
    raw: dict = dataclasses.field(repr=False, compare=False)


class _Timed(_Row):
    @property
    def time(self):
        return datetime.datetime.fromtimestamp(self.time_utc_ns / 1e9, datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Event(_Timed):
    """One change of one worker's state."""

    time_utc_ns: int
    worker: str
    #: The state before; `from` is a word of Python.
    was: str
    to: str
    #: Empty when there is nothing to say.
    reason: str
    raw: dict = dataclasses.field(repr=False, compare=False)

    @classmethod
    def of(cls, raw):
        return super().of(raw | {"was": raw.get("from")})


@dataclasses.dataclass(frozen=True)
class LogLine(_Timed):
    time_utc_ns: int
    worker: str
    #: stdout or stderr.
    stream: str
    text: str
    raw: dict = dataclasses.field(repr=False, compare=False)
