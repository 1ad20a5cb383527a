"""LAYOUT.md is enough: a reader of frame rings made from its tables alone, without the module.

It leases the newest picture of a ring at rest. (Python has no fences, so against a running writer it
would have to be written in another language.)"""

import fcntl
import glob
import mmap
import os
import re
import struct
import subprocess
import unittest

EXAMPLES = os.environ["SHMRING_EXAMPLES"]
DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "LAYOUT.md")
F_OFD_SETLK = 37  # linux/fcntl.h; Python does not name it everywhere
PROJECT = f"layout{os.getpid()}"
STEM = f"/dev/shm/fv.{PROJECT}.cam1.frames"


def tables():
    """Names and numbers of all rows that have both."""
    with open(DOCUMENT) as file:
        rows = re.findall(r"^\| `([A-Za-z0-9:_]+)` \| (0x[0-9a-f_]+|0|[1-9]\d*) \|", file.read(), re.MULTILINE)
    return {name: int(number, 0) for name, number in rows}


AT = tables()


class Mapped:
    """A file mapped whole."""

    def __init__(self, path, writable=False):
        self.file = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self.bytes = mmap.mmap(self.file, os.fstat(self.file).st_size, access=access)

    def u32(self, at):
        return struct.unpack_from("<I", self.bytes, at)[0]

    def u64(self, at):
        return struct.unpack_from("<Q", self.bytes, at)[0]

    def put64(self, at, value):
        struct.pack_into("<Q", self.bytes, at, value)

    def close(self):
        self.bytes.close()
        os.close(self.file)


def header_is_good(file, magic):
    return (file.u64(AT["anchor::AT_MAGIC"]), file.u32(AT["anchor::AT_MAJOR"])) == (AT[magic], AT["MAJOR"])


def claim(epoch, places):
    """Attach, steps 3 and 4."""
    for place in range(places):
        page = Mapped(f"{STEM}.l{place}", writable=True)
        try:
            whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            fcntl.fcntl(page.file, F_OFD_SETLK, whole)
        except BlockingIOError:
            page.close()
            continue
        assert header_is_good(page, "lease::MAGIC")
        for hazard in range(AT["lease::HAZARDS"]):
            page.put64(AT["lease::AT_HAZARDS"] + 8 * hazard, 0)
        page.put64(AT["lease::AT_EPOCH"], epoch)
        return page
    raise AssertionError("no place")


def lease(index, page, sequence):
    """Lease a picture: its descriptor's offset, once the slot is held."""
    slots, descriptors = index.u32(AT["index::AT_SLOTS"]), index.u32(AT["index::AT_DESCRIPTORS"])
    ring = AT["index::AT_VERSIONS"] + 2 * 8 * slots
    descriptor = ring + sequence % descriptors * AT["descriptor::BYTES"]
    assert index.u64(descriptor + AT["descriptor::AT_SEQUENCE"]) == sequence
    token = index.u64(descriptor + AT["descriptor::AT_TOKEN"])
    page.put64(AT["lease::AT_HAZARDS"], token)
    generation, slot = split(token)
    bank = AT["index::AT_VERSIONS"] + generation % 2 * 8 * slots
    assert index.u64(bank + 8 * slot) == token
    return descriptor


def split(token):
    high = token >> AT["token::VERSION_BITS"]
    return high >> AT["token::SLOT_BITS"], high & ((1 << AT["token::SLOT_BITS"]) - 1)


def luma(index, descriptor, epoch):
    """The visible bytes of the first plane."""
    def field(name):
        return index.u32(descriptor + AT[f"descriptor::{name}"])

    generation, slot = split(index.u64(descriptor + AT["descriptor::AT_TOKEN"]))
    data = Mapped(f"{STEM}.e{epoch}.g{generation}")
    start = slot * index.u64(descriptor + AT["descriptor::AT_SLOT_BYTES"]) + field("AT_PLANE_OFFSETS")
    width, height, linesize = field("AT_WIDTH"), field("AT_HEIGHT"), field("AT_LINESIZES")
    rows = [data.bytes[start + y * linesize :][:width] for y in range(height)]
    data.close()
    return field("AT_FORMAT"), b"".join(rows)


class Layout(unittest.TestCase):
    def setUp(self):
        command = [os.path.join(EXAMPLES, "paint"), PROJECT, "cam1.frames", "100x50", "yuv420p"]
        self.paint = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.clean)
        self.assertEqual(self.paint.stdout.readline(), b"ready\n")

    def clean(self):
        self.paint.communicate()
        for file in glob.glob(f"{STEM}*"):
            os.unlink(file)

    def put(self, value):
        self.paint.stdin.write(bytes([value]) * (100 * 50 * 3 // 2))
        self.paint.stdin.flush()
        return int(self.paint.stdout.readline())

    def test_the_newest_picture_is_read_and_held_by_the_document_alone(self):
        for value in range(1, 8):
            newest = self.put(value)
        anchor = Mapped(STEM)
        epoch = anchor.u64(AT["anchor::AT_EPOCH"])
        index = Mapped(f"{STEM}.e{epoch}")
        self.assertTrue(header_is_good(anchor, "anchor::MAGIC") and header_is_good(index, "index::MAGIC"))
        self.assertEqual(index.u32(AT["index::AT_KIND"]), AT["kind::FRAMES"])
        self.assertEqual(index.u64(AT["index::AT_HEAD"]), newest)
        page = claim(epoch, index.u32(AT["index::AT_PLACES"]))
        descriptor = lease(index, page, newest)
        # Fewer than there are descriptors, many more than there are slots.
        for value in range(200):
            self.put(value)
        self.assertEqual(luma(index, descriptor, epoch), (AT["yuv420p"], bytes([7]) * 5000))
        page.put64(AT["lease::AT_HAZARDS"], 0)
        for file in [page, index, anchor]:
            file.close()


if __name__ == "__main__":
    unittest.main()
