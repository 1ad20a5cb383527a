"""What the tests share: a project of their own, and programs that write its rings.

tests/python.rs runs them all, with PYTHONPATH naming the module's folder and SHMRING_EXAMPLES that of
the programs `paint` and `post`."""

import gc
import glob
import itertools
import os
import subprocess
import time
import unittest

import shmring

EXAMPLES = os.environ["SHMRING_EXAMPLES"]
SOON = 60.0
WIDTH, HEIGHT = 100, 50


def until(condition):
    """Waits for `condition` to hold; fails at the deadline."""
    deadline = time.monotonic() + SOON
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {SOON} s")
        time.sleep(0.005)


def descriptors():
    """How many are open, without those that only garbage of earlier tests holds."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


class Writer:
    """A program that writes a ring: `paint` pictures, `post` lines."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            [os.path.join(EXAMPLES, program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"ready\n"

    def put(self, item):
        """Publishes `item`; gives its number."""
        self.process.stdin.write(item)
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def finish(self):
        self.process.stdin.close()
        self.process.wait(SOON)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.finish()


def gray(value):
    return bytes([value % 256]) * (WIDTH * HEIGHT)


class RingTest(unittest.TestCase):
    """Gives every test a project of its own, whose files are gone afterwards."""

    numbers = itertools.count()

    def setUp(self):
        self.project = f"py{os.getpid()}-{next(self.numbers)}"
        self.addCleanup(self.sweep, self.project)

    @staticmethod
    def sweep(project):
        for file in glob.glob(f"/dev/shm/fv.{project}.*"):
            os.unlink(file)

    def paint(self, format="gray8", size=(WIDTH, HEIGHT), colour=(), ring="cam1.frames"):
        writer = Writer("paint", self.project, ring, f"{size[0]}x{size[1]}", format, *colour)
        self.addCleanup(writer.finish)
        return writer

    def attach(self, name="cam1.frames", **options):
        ring = shmring.attach(name, self.project, **options)
        self.addCleanup(ring.close)
        return ring

    def one(self, picture, ring="cam1.frames", **options):
        """A frame that shows `picture`."""
        writer = self.paint(ring=ring, **options)
        ring = self.attach(ring)
        writer.put(picture)
        return ring.next(timeout=SOON)

    def row(self, name="cam1.frames"):
        return next(row for row in shmring.rings(self.project) if row["name"] == name)

    def leases(self):
        return sum(reader["leases"] for reader in self.row()["readers"])
