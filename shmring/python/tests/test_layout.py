"""LAYOUT.md is enough: a reader of frame rings made from its tables alone, without the module.

It leases the newest picture or tensor of a ring at rest. (Python has no fences, so against a running writer it
would have to be written in another language.)"""

import fcntl
import glob
import itertools
import mmap
import operator
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


class Described:
    """A descriptor and the slot it names."""

    def __init__(self, index, descriptor, epoch):
        self.index, self.at = index, descriptor
        generation, slot = split(self.u64("AT_TOKEN"))
        self.data = Mapped(f"{STEM}.e{epoch}.g{generation}")
        self.start = slot * self.u64("AT_SLOT_BYTES")

    def u32(self, name, number=0):
        return self.index.u32(self.at + AT[f"descriptor::{name}"] + 4 * number)

    def u64(self, name):
        return self.index.u64(self.at + AT[f"descriptor::{name}"])

    def bytes(self, at, count):
        return self.data.bytes[self.start + at :][:count]

    def luma(self):
        """Format, size, and the visible bytes of the first plane of one byte a sample."""
        width, height = self.u32("AT_WIDTH"), self.u32("AT_HEIGHT")
        offset, linesize = self.u32("AT_PLANE_OFFSETS"), self.u32("AT_LINESIZES")
        rows = [self.bytes(offset + y * linesize, width) for y in range(height)]
        return self.u32("AT_FORMAT"), (width, height), b"".join(rows)

    def tensor(self):
        """Element type, shape, and all elements of a tensor."""
        assert self.u32("AT_FORMAT") == AT["descriptor::TENSOR"]
        axes = range(self.u32("AT_AXES"))
        shape = [self.u32("AT_SHAPE", axis) for axis in axes]
        strides = [self.u32("AT_STRIDES", axis) for axis in axes]
        dtype = self.u32("AT_DTYPE")
        element = dtype % 256 // 8
        places = [sum(map(operator.mul, indices, strides)) for indices in itertools.product(*map(range, shape))]
        return dtype, shape, b"".join(self.bytes(self.u32("AT_OFFSET") + at, element) for at in places)

    def is_changed(self):
        return self.u32("AT_FLAGS") & AT["flag::FORMAT_CHANGE"] != 0


class Layout(unittest.TestCase):
    def start(self, example, *arguments):
        command = [os.path.join(EXAMPLES, example), PROJECT, "cam1.frames", *arguments]
        self.writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.clean)
        self.assertEqual(self.writer.stdout.readline(), b"ready\n")

    def clean(self):
        self.writer.communicate()
        for file in glob.glob(f"{STEM}*"):
            os.unlink(file)

    def put(self, item):
        self.writer.stdin.write(item)
        self.writer.stdin.flush()
        return int(self.writer.stdout.readline())

    def attach(self):
        """The open ring: its epoch, index and a lease page of our own."""
        anchor = Mapped(STEM)
        self.addCleanup(anchor.close)
        epoch = anchor.u64(AT["anchor::AT_EPOCH"])
        index = Mapped(f"{STEM}.e{epoch}")
        self.addCleanup(index.close)
        self.assertTrue(header_is_good(anchor, "anchor::MAGIC") and header_is_good(index, "index::MAGIC"))
        self.assertEqual(index.u32(AT["index::AT_KIND"]), AT["kind::FRAMES"])
        page = claim(epoch, index.u32(AT["index::AT_PLACES"]))
        self.addCleanup(page.close)
        return epoch, index, page

    def described(self, attached, sequence):
        epoch, index, page = attached
        self.assertEqual(index.u64(AT["index::AT_HEAD"]), sequence)
        described = Described(index, lease(index, page, sequence), epoch)
        self.addCleanup(described.data.close)
        return described

    def test_the_newest_picture_is_read_and_held_by_the_document_alone(self):
        self.start("paint", "100x50", "yuv420p")
        picture = lambda value: bytes([value]) * (100 * 50 * 3 // 2)
        for value in range(1, 8):
            newest = self.put(picture(value))
        held = self.described(self.attach(), newest)
        # Fewer than there are descriptors, many more than there are slots.
        for value in range(200):
            self.put(picture(value))
        self.assertEqual(held.luma(), (AT["yuv420p"], (100, 50), bytes([7]) * 5000))

    def test_a_change_of_size_and_of_format_is_followed_by_the_document_alone(self):
        sizes = [("gray8", 40, 30), ("gray8", 40, 30), ("gray8", 300, 200), ("nv12", 40, 30)]
        self.start("offer", *(f"{name}:{width}x{height}" for name, width, height in sizes))
        attached = self.attach()
        changes = []
        for number, (name, width, height) in enumerate(sizes, 1):
            pixels = width * height
            self.assertEqual(self.put(bytes([number]) * (pixels * 3 // 2 if name == "nv12" else pixels)), number)
            described = self.described(attached, number)
            changes.append(described.is_changed())
            self.assertEqual(described.luma(), (AT[name], (width, height), bytes([number]) * pixels))
        self.assertEqual(changes, [False, False, True, True])

    def test_a_tensor_is_read_by_the_document_alone(self):
        self.start("offer", "gray8:8x8", "f32:2x3x4", "i16:5")
        attached = self.attach()
        self.put(bytes(64))
        numbers = struct.pack("<24f", *range(24))
        tensor = self.described(attached, self.put(numbers))
        self.assertEqual((tensor.tensor(), tensor.is_changed()), ((AT["f32"], [2, 3, 4], numbers), True))
        numbers = struct.pack("<5h", *range(-2, 3))
        tensor = self.described(attached, self.put(numbers))
        self.assertEqual(tensor.tensor(), (AT["i16"], [5], numbers))


if __name__ == "__main__":
    unittest.main()
