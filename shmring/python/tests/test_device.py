"""Frames in a device's memory: by a driver that is none (FRAMEVISOR_LIBCUDA), and by a real one where there is one."""

import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

import numpy
import shmring

from ringtest import SOON, RingTest, Writer
from test_tensors import take, tensor

DRIVER = os.environ["FRAMEVISOR_LIBCUDA"]
WIDTH, HEIGHT = 96, 50
CPU, CUDA = (1, 0), (2, 0)
READ_ONLY, COPIED = 1, 2


def picture(seed):
    """A picture of nv12, tight."""
    count = WIDTH * HEIGHT * 3 // 2
    return bytes((seed * 7 + place * 3 + place // WIDTH) % 256 for place in range(count))


def planes(seed):
    both = numpy.frombuffer(picture(seed), numpy.uint8)
    return both[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH), both[WIDTH * HEIGHT :].reshape(HEIGHT // 2, WIDTH)


def seen(data, shape, pitch):
    """What a consumer finds at an address of the device, which only a driver can follow."""
    driver = ctypes.CDLL(DRIVER)
    context = ctypes.c_void_p()
    assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert driver.cuCtxPushCurrent_v2(context) == 0
    rows, row_bytes = shape
    into = numpy.zeros((rows, row_bytes), numpy.uint8)
    for row in range(rows):
        target = ctypes.c_void_p(into[row].ctypes.data)
        assert driver.cuMemcpyDtoH_v2(target, ctypes.c_uint64(data + row * pitch), ctypes.c_size_t(row_bytes)) == 0
    driver.cuCtxPopCurrent_v2(None)
    driver.cuDevicePrimaryCtxRelease(0)
    return into


def paint(test, ring="cam1.frames", environment=None):
    """A program that writes a ring on the device."""
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        writer = Writer("paint_on_device", test.project, ring, f"{WIDTH}x{HEIGHT}")
    finally:
        os.environ.clear()
        os.environ.update(before)
    test.addCleanup(writer.finish)
    return writer


class Devices(RingTest):
    """Readers of a ring on a device."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = os.path.join(folder.name, "log")
        os.environ["FAKE_CUDA_LOG"] = self.log
        self.addCleanup(os.environ.pop, "FAKE_CUDA_LOG")

    def noted(self, what):
        """How often this process did it."""
        mine = (line.split() for line in open(self.log))
        return sum(1 for word, _, pid in mine if word == what and int(pid) == os.getpid())

    def begin(self):
        writer = paint(self)
        return writer, self.attach("cam1.frames")

    def test_a_tensor_is_where_the_picture_is_and_nothing_was_copied(self):
        writer, ring = self.begin()
        writer.put(picture(3))
        frame = ring.next(timeout=SOON)
        self.assertEqual((frame.__dlpack_device__(), frame.format, frame.shape), (CUDA, "nv12", (HEIGHT, WIDTH)))
        self.assertRegex(frame.device, "^GPU-[0-9a-f]{8}-[0-9a-f-]{27}$")
        for plane, expected in zip(frame.planes, planes(3)):
            self.assertEqual(plane.__dlpack_device__(), CUDA)
            capsule = plane.__dlpack__(stream=1, max_version=(1, 0))
            view = tensor(capsule)
            shape = tuple(view.shape[axis] for axis in range(view.dimensions))
            self.assertEqual((view.device_type, view.device_id, view.flags), (*CUDA, READ_ONLY))
            self.assertEqual((view.code, view.bits, view.lanes, shape), (1, 8, 1, expected.shape))
            self.assertEqual((view.strides[0], view.strides[1], view.offset), (256, 1, 0))
            copied = [self.noted("DtoH"), self.noted("HtoD")]
            self.assertEqual(copied[1], 0)
            self.assertTrue((seen(view.data, shape, view.strides[0]) == expected).all())
        self.assertEqual(copied[0], HEIGHT, "by the test alone, row by row, of the plane before")

    def test_copies_are_made_when_they_are_asked_for_and_are_as_those_of_a_picture_here(self):
        writer, ring = self.begin()
        writer.put(picture(5))
        frame = ring.next(timeout=SOON)
        here = self.one(picture(5), ring="cpu.frames", size=(WIDTH, HEIGHT), format="nv12")
        self.assertEqual((here.device, here.lost, here.__dlpack_device__()), (None, False, CPU))
        for copy in ("copy", "rgb", "bgr"):
            there, own = getattr(frame, copy)(), getattr(here, copy)()
            self.assertTrue((there == own).all() and there.flags.writeable and there.shape == own.shape, copy)
        taken = take(frame.planes[1].__dlpack__(dl_device=CPU, max_version=(1, 0)))
        self.assertEqual((taken.device_type, taken.flags), (1, COPIED))
        bytes_of = ctypes.string_at(taken.data, WIDTH * HEIGHT // 2)
        self.assertEqual(bytes_of, planes(5)[1].tobytes())
        taken.deleter(ctypes.addressof(taken))

    def test_what_reads_the_processors_memory_is_refused_with_a_cure(self):
        writer, ring = self.begin()
        writer.put(picture(1))
        frame = ring.next(timeout=SOON)
        with self.assertRaisesRegex(shmring.OnDevice, r"f\.copy\(\)"):
            frame.numpy()
        with self.assertRaisesRegex(BufferError, r"torch\.from_dlpack"):
            memoryview(frame.planes[0])
        for wanted in ({"dl_device": (2, 1)}, {"copy": True}, {"stream": 0}, {"dl_device": CPU, "copy": False}):
            with self.assertRaises(BufferError, msg=str(wanted)):
                frame.__dlpack__(max_version=(1, 0), **wanted)
        self.assertEqual(self.noted("DtoH"), 0)

    def test_a_tensor_keeps_the_lease_until_the_device_has_done_what_it_was_told(self):
        writer, ring = self.begin()
        writer.put(picture(9))
        taken = take(ring.next(timeout=SOON).__dlpack__(max_version=(1, 0)))
        for seed in range(40):
            writer.put(picture(seed))
        self.assertEqual(self.leases(), 1)
        view = seen(taken.data, (HEIGHT, WIDTH), taken.strides[0])
        self.assertTrue((view == planes(9)[0]).all())
        before = self.noted("finish")
        taken.deleter(ctypes.addressof(taken))
        self.assertEqual((self.noted("finish") - before, self.leases()), (1, 0))

    def test_consumers_of_before_versions_get_the_structure_that_they_know(self):
        writer, ring = self.begin()
        writer.put(picture(2))
        capsule = ring.next(timeout=SOON).__dlpack__(stream=7)
        valid = ctypes.pythonapi.PyCapsule_IsValid
        valid.argtypes = [ctypes.py_object, ctypes.c_char_p]
        self.assertEqual((valid(capsule, b"dltensor"), self.leases()), (1, 1))
        del capsule
        self.assertEqual(self.leases(), 0)

    def test_memory_is_opened_once_for_all_pictures_that_lie_in_it(self):
        writer, ring = self.begin()
        for seed in range(20):
            writer.put(picture(seed))
            self.assertTrue((ring.next(timeout=SOON).copy() == planes(seed)[0]).all())
        self.assertEqual((self.noted("open"), self.noted("close")), (1, 0))
        ring.close()
        self.assertEqual(self.noted("close"), 1)

    def test_pictures_of_a_killed_writer_are_lost_and_those_of_the_next_one_are_not(self):
        writer, ring = self.begin()
        writer.put(picture(4))
        frame = ring.next(timeout=SOON)
        self.assertTrue((frame.copy() == planes(4)[0]).all() and not frame.lost)
        writer.kill()
        self.assertTrue(frame.lost)
        for use in (frame.copy, frame.rgb, lambda: frame.__dlpack__(max_version=(1, 0))):
            with self.assertRaisesRegex(shmring.WriterLost, "take the next frame"):
                use()
        paint(self).put(picture(6))
        following = ring.next(timeout=SOON)
        self.assertNotEqual(following.epoch, frame.epoch)
        self.assertTrue((following.copy() == planes(6)[0]).all())
        self.assertEqual((self.noted("open"), self.noted("close")), (2, 1))

    def test_a_forked_child_touches_no_device(self):
        writer, ring = self.begin()
        writer.put(picture(8))
        frame = ring.next(timeout=SOON)
        capsule = frame.__dlpack__(max_version=(1, 0))
        before = open(self.log).read()
        child = os.fork()
        if child == 0:
            try:
                frame.copy()
            except shmring.Forked:
                del capsule, frame
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(open(self.log).read(), before)
        self.assertTrue(capsule and (frame.copy() == planes(8)[0]).all())

    def test_without_a_driver_it_is_said_what_to_do(self):
        writer, _ = self.begin()
        writer.put(picture(1))
        program = "import shmring, sys\nwith shmring.attach('cam1.frames', sys.argv[1]) as ring:\n f = ring.next(timeout=9)\n print(f.seq)\n f.copy()"
        nowhere = {**os.environ, "FRAMEVISOR_LIBCUDA": "/nowhere/libcuda.so.1"}
        told = subprocess.run([sys.executable, "-c", program, self.project], env=nowhere, capture_output=True, text=True)
        self.assertEqual(told.stdout, "1\n")
        self.assertRegex(told.stderr, "NoDevice: frame 1 of cam1.frames: no CUDA driver: .*install NVIDIA's driver")


REAL = """
import sys, torch, shmring
with shmring.attach("cam1.frames", sys.argv[1]) as ring:
    print("ready", flush=True)
    f = ring.next(timeout=60)
    y, uv = (torch.from_dlpack(plane) for plane in f.planes)
    assert y.is_cuda and uv.is_cuda and y.data_ptr() != 0
    sys.stdout.write(f"{int(y.long().sum())} {int(uv.long().sum())}\\n")
    del y, uv
"""


class RealDevice(RingTest):
    """What only a device can show: torch takes the very memory that another process has filled."""

    def test_torch_sees_what_another_process_put_on_the_device(self):
        real = {"FRAMEVISOR_LIBCUDA": "libcuda.so.1"}
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            self.skipTest(f"no device: {error}")
        if importlib.util.find_spec("torch") is None:
            self.skipTest("no torch")
        writer = paint(self, environment=real)
        reader = subprocess.Popen(
            [sys.executable, "-c", REAL, self.project],
            env={**os.environ, **real}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.assertEqual(reader.stdout.readline(), "ready\n")
        writer.put(picture(3))
        sums = [int(plane.astype(int).sum()) for plane in planes(3)]
        self.assertEqual(reader.communicate(timeout=SOON)[0].split(), [str(it) for it in sums])


if __name__ == "__main__":
    unittest.main()
