"""Where a project's sockets are, by the rule of docs/supervision.md."""

import os
import pathlib
import tempfile


def runtime_dir(project):
    """The runtime directory of a project that was started without one of its own. It need not exist."""
    return _base() / project


def _base():
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(session):
        return pathlib.Path(session) / "framevisor"
    if os.geteuid() == 0:
        return pathlib.Path("/run/framevisor")
    return pathlib.Path(tempfile.gettempdir()) / f"framevisor-{os.geteuid()}"
