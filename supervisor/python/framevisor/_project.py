"""A running project, and how one is started."""

import contextlib
import fcntl
import fnmatch
import itertools
import json
import os
import pathlib
import shutil
import struct
import subprocess
import time

from ._connection import ANSWER_WITHIN_S, Connection
from ._errors import Error, Invalid, NotRunning, TimedOut
from ._place import runtime_dir
from ._words import Event, LogLine, Ring, Worker

LOOK_EVERY_S = 0.05
#: A change that fails is undone first: start deadline, settling, and the way back.
CHANGE_WITHIN_S = 120.0
#: The supervisor ends within 10 s; the guard a second after it.
DOWN_WITHIN_S = 15.0
INVALID, TIMEOUT = 3, 6


def connect(project=None, *, directory=None):
    """The running project of this name, or of this runtime directory."""
    return Project(_directory(project, directory))


def up(topology, *, project=None, directory=None, wait=True, timeout=30.0):
    """Starts a project from topology files, or from a dict of the same shape, and returns it. Files that
    a project runs from already: only what changed is applied.

    As a context manager the project is ended with the block. `wait` returns when data flows in every ring
    or its writer is parked; else when the supervisor answers. `timeout` is in seconds."""
    command = _command(topology, project, directory)
    command += ["up", "--wait" if wait else "--detach", "--timeout", f"{round(timeout * 1000)}ms"]
    _run(command, topology)
    return connect(project or _name(topology, directory), directory=directory)


def plan(topology, *, project=None, directory=None):
    """What `up` would start and take, and what it would change of what runs: `framevisor plan -o json`."""
    return json.loads(_run(_command(topology, project, directory) + ["plan", "-o", "json"], topology))


class Project:
    """A running project. Names of workers may be patterns (`cam*`) wherever several are taken; a camera's
    name stands for its workers."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._connection = Connection(self.directory)
        self.name = self.status()["project"]

    def status(self):
        """Project, supervisor, guard, uptime, and rings without data (`not_flowing`), as a dict."""
        return self._connection.ask("status")

    def workers(self):
        """All workers, in the order of the topology."""
        return [Worker.of(row) for row in self._connection.ask("ps")]

    def worker(self, name):
        """One worker; KeyError when there is none of this name."""
        return {worker.name: worker for worker in self.workers()}[name]

    def rings(self):
        """All rings, and who reads them."""
        return [Ring.of(row) for row in self._connection.ask("rings")]

    def logs(self, *names, lines=100, since=None, grep=""):
        """The newest lines of these workers, of all without a name. `since` is a duration, "10s"."""
        args = {"names": names, "lines": lines, "grep": grep}
        if since is not None:
            args["since"] = since
        return [LogLine.of(row) for row in self._connection.ask("logs", **args)]

    def why(self, name):
        """Everything known of a worker's state and past deaths, as a dict."""
        return self._connection.ask("why", name=name)

    def events(self, *names, timeout=None):
        """Changes of these workers' states as they come, of all without a name; ends with the project.
        `timeout`, in seconds, bounds the wait for each, and raises TimedOut.

        The connection is open before the first event is asked for: nothing is missed in between."""
        follower = Connection(self.directory)
        follower.ask("events", names=names, count=0, follow=True)
        return _followed(follower, timeout)

    def start(self, *names, timeout=12.0):
        """Starts workers that do not run, and returns their names when they are up. `timeout=None` returns
        at once; so for `restart` and `stop`."""
        meant = self._connection.ask("start", names=names)
        return self._when(meant, timeout, "readiness", lambda worker: worker.is_up or _is_replaced(worker))

    def restart(self, *names, timeout=12.0):
        """Stops workers, starts them again and forgives their past."""
        def process(worker):
            # A first start is no restart, and one that has finished has no pid.
            return worker.pid, worker.restarts, worker.last_exit

        members = (worker for worker in self.workers() if not _is_replaced(worker))
        before = {worker.name: process(worker) for worker in members}
        meant = self._connection.ask("restart", names=names)

        def is_again(worker):
            again = process(worker) != before.get(worker.name)
            return _is_replaced(worker) or again and (worker.is_up or worker.state == "stopped")

        return self._when(meant, timeout, "readiness", is_again)

    def stop(self, *names, timeout=12.0):
        """Stops workers in the order of the pipeline; they stay stopped until they are started."""
        meant = self._connection.ask("stop", names=names)
        return self._when(meant, timeout, "the end", lambda worker: worker.state == "stopped")

    def add(self, topology, *, timeout=CHANGE_WITHIN_S):
        """Adds what topology files, or a dict of the same shape, describe to what runs. When a new worker
        does not become healthy, everything is as before and the error says why."""
        files = self._files(topology)
        try:
            return self._connection.ask("add", timeout, files=[str(path) for path in files])
        finally:
            self._forget_given(topology, files)

    def remove(self, *names, timeout=CHANGE_WITHIN_S):
        """Stops workers or whole cameras and forgets them, with their rings."""
        return self._connection.ask("remove", timeout, names=names)

    def send(self, name, message, *, timeout=2 * ANSWER_WITHIN_S):
        """Gives a message, any JSON value, to a `run:` worker that listens or to a recorder, and returns its
        reply."""
        return self._connection.ask("send", timeout, name=name, message=message)

    def record(self, order, *cameras, span=None, pre=None):
        """Starts (`"start"`) or stops (`"stop"`) the recording of cameras, by name or pattern, all without
        one, or gives it back to the topology (`"auto"`). After `span`, a duration such as "5m", it is auto again; a
        start reaches `pre` back. Returns what holds now, a dict for each camera."""
        wanted = {"order": order}
        if span is not None:
            wanted["for"] = span
        if pre is not None:
            wanted["pre"] = pre
        return self._recorders("record", cameras, wanted)

    def recording(self, *cameras):
        """Which cameras are recorded now, and why: a dict for each."""
        return self._recorders("show", cameras, {})

    def comment(self, camera, text, *, tags=(), author=""):
        """Says something of the picture of this camera that is recorded at this moment. Returns where it
        went, a dict for each recorder of the camera."""
        rows = self._connection.ask("recorders")
        meant = [row["worker"] for row in rows if row["ring"].rpartition(".")[0] == camera]
        if not meant:
            raise KeyError(f"no camera {camera} is recorded")
        said = {"camera": camera, "text": text, "tags": list(tags), "author": author}
        return [self.send(worker, {"comment": said}) for worker in meant]

    def _recorders(self, message, cameras, args):
        rows = self._connection.ask("recorders")
        camera = {row["ring"]: row["ring"].rpartition(".")[0] for row in rows}
        for name in cameras:
            if not any(_selects([name], known) for known in camera.values()):
                raise KeyError(f"no camera {name} is recorded")
        meant = {}
        for row in rows:
            if _selects(cameras, camera[row["ring"]]):
                meant.setdefault(row["worker"], []).append(camera[row["ring"]])
        told = []
        for worker, names in meant.items():
            told += self.send(worker, {message: {"cameras": names, **args}})
        return told

    def wait(self, *names, flowing=False, state=None, timeout=30.0):
        """Waits until the workers that `names` means (all without one) are up, or in `state`; with
        `flowing`, until data flows in every ring or its writer is parked. `timeout` is in seconds."""
        if flowing:
            self._until(timeout, "data in every ring", self._dry)

        def is_done(worker):
            return worker.is_up if state is None else worker.state == state

        def missing():
            workers = [worker for worker in self.workers() if _selects(names, worker.name)]
            if not workers:
                raise KeyError(f"no worker is named {', '.join(names)}")
            return [f"{w.name} is {w.state} ({w.why})" for w in workers if not is_done(w)]

        if names or state is not None or not flowing:
            self._until(timeout, state or "readiness", missing)

    def down(self, *, timeout=DOWN_WITHIN_S):
        """Ends the project in order, and returns when nothing of it lives. A project that has ended
        already is left alone."""
        with contextlib.suppress(NotRunning):
            self._connection.ask("down")
            with contextlib.suppress(TimedOut):
                while self._connection.next_event(timeout) is not None:
                    pass
        self._until(timeout, "the end of the project", self._alive)
        self.close()

    def close(self):
        """Lets go of the connection; the project runs on."""
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def __repr__(self):
        return f"<framevisor project {self.name} in {self.directory}>"

    def _when(self, names, timeout, what, is_done):
        if timeout is not None:
            self._until(timeout, what, lambda: self._others(names, is_done))
        return names

    def _others(self, names, is_done):
        """Who of these is not as wanted; a worker that fails meanwhile is not waited for."""
        named = [worker for worker in self.workers() if worker.name in names]
        for worker in named:
            if worker.state in ("backoff", "held", "quarantined"):
                text = f"{worker.name} is {worker.state}: {worker.why}"
                raise Error(f"{text}; `framevisor why {worker.name}` tells more")
        return [f"{worker.name} is {worker.state}" for worker in named if not is_done(worker)]

    def _dry(self):
        return [f"{row['ring']} ({row['writer']} is {row['state']})" for row in self.status()["not_flowing"]]

    def _alive(self):
        return ["it still runs"] if _is_taken(self.directory / "pid") else []

    def _until(self, timeout, what, missing):
        deadline = time.monotonic() + timeout
        while left := missing():
            if time.monotonic() > deadline:
                raise TimedOut(f"{what} did not come within {timeout:g} s: {', '.join(left)}")
            time.sleep(LOOK_EVERY_S)

    def _files(self, topology):
        if isinstance(topology, dict):
            return [_written(topology, self.directory)]
        paths = [topology] if isinstance(topology, str | os.PathLike) else topology
        return [pathlib.Path(path).absolute() for path in paths]

    @staticmethod
    def _forget_given(topology, files):
        """The supervisor has read it by its answer."""
        if isinstance(topology, dict):
            for path in files:
                path.unlink(missing_ok=True)


def _followed(follower, timeout):
    with contextlib.closing(follower):
        while (event := follower.next_event(timeout)) is not None:
            yield Event.of(event)


def _selects(names, name):
    return not names or any(fnmatch.fnmatchcase(name, pattern) for pattern in names)


def _is_replaced(worker):
    """It keeps its last clients: its successor is the one that is meant."""
    return worker.state == "draining"


def _directory(project, directory):
    if directory is not None:
        return pathlib.Path(directory)
    project = project or os.environ.get("FRAMEVISOR_PROJECT")
    if not project:
        raise Error("which project? name it, or set FRAMEVISOR_PROJECT")
    return runtime_dir(project)


def _command(topology, project, directory):
    """The command and what stands before the verb."""
    program = os.environ.get("FRAMEVISOR", "framevisor")
    if shutil.which(program) is None:
        raise Error(f"{program}: no such command; put framevisor on PATH, or its path into FRAMEVISOR")
    if isinstance(topology, dict):
        files = ["-"]
    elif isinstance(topology, str | os.PathLike):
        files = [topology]
    else:
        files = topology
    command = [program, *itertools.chain.from_iterable(("-f", os.fspath(file)) for file in files)]
    if project is not None:
        command += ["-p", project]
    if directory is not None:
        command += ["--runtime-dir", os.fspath(directory)]
    return command


def _run(command, topology):
    """Runs the command to its end and returns what it printed; its talk becomes the error's text."""
    given = json.dumps(topology) if isinstance(topology, dict) else None
    stdin = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **stdin)
    if ended.returncode == 0:
        return ended.stdout
    error = {INVALID: Invalid, TIMEOUT: TimedOut}.get(ended.returncode, Error)
    raise error(ended.stderr.strip() or f"{command[0]} ended with exit code {ended.returncode}")


def _name(topology, directory):
    """The project's name by the topology's own rule."""
    return json.loads(_run(_command(topology, None, directory) + ["plan", "-o", "json"], topology))["project"]


def _written(topology, directory):
    """A dict as a file of the project's owner alone."""
    path = directory / f"given-{os.getpid()}-{time.monotonic_ns()}.json"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(topology, file)
    return path


def _is_taken(path):
    """Whether anything of the project holds the lock on its pid file."""
    try:
        with open(path, "rb") as file:
            # struct flock: l_type, l_whence, l_start, l_len, l_pid; F_WRLCK over the whole file.
            probe = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, probe)
    except FileNotFoundError:
        return False
    return struct.unpack_from("h", found)[0] != fcntl.F_UNLCK
