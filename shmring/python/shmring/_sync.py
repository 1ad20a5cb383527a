"""Several cameras read together."""

import fnmatch
import os

from ._native import Ambiguous, NoSuchRing, _FrameSet, rings


def sync(names, tolerance="40ms", *, project=None, policy=None, reader=None, wait=None):
    """Reads frame rings together, in groups of pictures that were taken within `tolerance` of each other.

    `names` is a list of rings or a pattern; "hall-*" is all of them that there are now. A group is a dict
    of ring name -> frame, or None where a camera had nothing in time. With the policy "every N" it is each Nth
    group. A worker waits for the rings that it names, as with `attach`; a pattern is of those there are."""
    project = project or os.environ.get("FRAMEVISOR_PROJECT") or None
    names = [names] if isinstance(names, str) else list(names)
    found = [ring for name in names for ring in _matching(_full(name), project)]
    if not found:
        raise NoSuchRing("sync: no ring is named")
    projects = sorted({row_project for row_project, _ in found})
    if len(projects) > 1:
        raise Ambiguous(f"{', '.join(names)}: several projects fit: {', '.join(projects)}; name one with project=")
    unique = list(dict.fromkeys(name for _, name in found))
    return FrameSet(_FrameSet(unique, projects[0], tolerance, policy, reader, wait), unique)


def _full(name):
    return name if name.endswith(".frames") else f"{name}.frames"


def _matching(name, project):
    """Projects and names of the rings meant."""
    there = [(row["project"], row["name"]) for row in rings(project) if row["kind"] == "frames"]
    found = [(own, ring) for own, ring in there if fnmatch.fnmatchcase(ring, name)]
    if found:
        return found
    if project is not None and not set(name) & set("*?["):
        # Waited for, or the error that says so.
        return [(project, name)]
    said = ", ".join(f"{ring} of {own}" for own, ring in there) or "none"
    raise NoSuchRing(f"{name}: no such ring of frames; is its writer running? there are: {said}")


class FrameGroup(dict):
    """Ring name -> frame, None for a camera that has no picture in it. `skew` is the seconds between its
    oldest picture and its newest, `missing` names the cameras without one."""

    def __init__(self, names, frames, skew):
        super().__init__(zip(names, frames))
        self.skew = skew

    @property
    def missing(self):
        return tuple(name for name, frame in self.items() if frame is None)


class FrameSet:
    """Rings read together; an iterator of groups that never ends by itself."""

    def __init__(self, native, names):
        self._native = native
        self._names = tuple(names)

    @property
    def names(self):
        return self._names

    @property
    def missed(self):
        """Pictures lost to this reader since it attached, of all rings."""
        return self._native.missed

    def next(self, timeout=None):
        """The next group, or None when there was none for `timeout` seconds."""
        taken = self._native.next(timeout)
        return None if taken is None else FrameGroup(self._names, *taken)

    def close(self):
        """Detaches. Frames that were taken stay valid."""
        self._native.close()

    def __iter__(self):
        return self

    def __next__(self):
        return self.next()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
