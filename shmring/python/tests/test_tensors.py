"""Pictures as DLPack tensors, checked by their bytes in memory and by whoever takes them."""

import ctypes
import gc
import importlib.util
import unittest

import numpy
import shmring

from ringtest import HEIGHT, SOON, WIDTH, RingTest, gray

NUMPY_IS_OLD = tuple(map(int, numpy.__version__.split(".")[:2])) < (2, 1)


class Tensor(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.CFUNCTYPE(None, ctypes.c_void_p)), ("flags", ctypes.c_uint64),
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("dimensions", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64),
    ]  # fmt: skip


NAME = b"dltensor_versioned"
USED = b"used_dltensor_versioned"


def tensor(capsule):
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Tensor.from_address(pointer(capsule, NAME))


def take(capsule):
    """What a consumer does."""
    taken = tensor(capsule)
    rename = ctypes.pythonapi.PyCapsule_SetName
    rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
    rename(capsule, USED)
    return taken


class Rings(RingTest):
    """Rings of tensors: what a network takes, and what it gives."""

    def publish(self, name="net.frames", *arguments, **options):
        out = shmring.publish(name, *arguments, project=self.project, **options)
        self.addCleanup(out.close)
        return out

    def sent(self, array, **options):
        out = self.publish(f"x{next(self.numbers)}.frames", **options)
        out.write(array)
        with self.attach(out.name) as ring:
            return ring.next(timeout=SOON)

    def test_what_is_the_writers_own_is_64_bytes_and_nothing_where_it_says_nothing(self):
        frame = self.sent(numpy.zeros((2, 3), numpy.float32))
        self.assertEqual(frame.user, bytes(64))

    def test_arrays_of_every_type_arrive_as_they_were(self):
        values = numpy.arange(2 * 3 * 5).reshape(2, 3, 5)
        names = ["int8", "int16", "int32", "int64", "uint16", "uint32", "float16", "float32", "float64", "bool"]
        for name in names:
            with self.subTest(name):
                array = (values % 7).astype(name)
                frame = self.sent(array)
                self.assertEqual((frame.dtype, frame.shape), (name, array.shape))
                seen = frame.numpy()
                self.assertEqual((seen.dtype, seen.shape, seen.flags.writeable), (array.dtype, array.shape, False))
                self.assertTrue((seen == array).all())

    def test_bytes_are_a_tensor_when_the_program_says_so_or_no_picture_is_like_that(self):
        array = numpy.arange(4 * 6, dtype=numpy.uint8).reshape(4, 6)
        self.assertEqual(self.sent(array).format, "gray8")
        for array, said in [(array, {"dtype": numpy.uint8}), (array.ravel(), {}), (array.reshape(2, 2, 3, 2), {})]:
            frame = self.sent(array, **said)
            with self.assertRaisesRegex(shmring.WrongKind, "u8"):
                frame.format
            self.assertTrue((frame.numpy() == array).all() and frame.shape == array.shape)

    def test_arrays_of_any_strides_arrive_as_they_look(self):
        whole = numpy.arange(6 * 8 * 10, dtype=numpy.float32).reshape(6, 8, 10)
        for view in [whole[::2, ::-1, 1::3], whole.T, whole[:, 3], whole[2, :, 5], numpy.broadcast_to(whole[0, 0], (3, 10))]:
            self.assertTrue((self.sent(view).numpy() == view).all())

    def test_an_array_lies_in_the_ring_and_keeps_its_lease(self):
        out = self.publish(shape=(1, 3, 64, 64), dtype="float32")
        with out.slot() as array:
            self.assertEqual((array.dtype, array.shape), (numpy.float32, (1, 3, 64, 64)))
            array[:] = 0.5
        ring = self.attach(out.name)
        part = ring.next(timeout=SOON).numpy()[0, 1]
        address = part.__array_interface__["data"][0]
        with open("/proc/self/maps") as maps:
            mine = [line.split()[0] for line in maps if f"fv.{self.project}.net.frames.e" in line and " r--s " in line]
        spans = [[int(end, 16) for end in line.split("-")] for line in mine]
        self.assertTrue(any(low <= address < high for low, high in spans))
        for value in range(100):
            out.write(numpy.full((1, 3, 64, 64), value, numpy.float32))
        self.assertTrue((part == 0.5).all())

    def test_the_same_tensor_each_time_another_is_told(self):
        out = self.publish()
        out.write(numpy.zeros((2, 3), numpy.float32))
        for other in [numpy.zeros((3, 2), numpy.float32), numpy.zeros((2, 3), numpy.float64), numpy.zeros((2, 3), numpy.uint8)]:
            with self.assertRaisesRegex(ValueError, r"f32"):
                out.write(other)

    def test_a_tensor_has_its_type_in_dlpack(self):
        frame = self.sent(numpy.arange(6, dtype=numpy.float32).reshape(2, 3))
        made = tensor(capsule := frame.__dlpack__(max_version=(1, 0)))
        self.assertEqual((made.code, made.bits, made.lanes, made.flags), (2, 32, 1, 1))
        self.assertEqual((made.shape[: made.dimensions], made.strides[: made.dimensions]), ([2, 3], [3, 1]))
        del capsule
        made = tensor(capsule := frame.__dlpack__(max_version=(1, 0), copy=True))
        self.assertEqual(ctypes.string_at(made.data, 24), numpy.arange(6, dtype=numpy.float32).tobytes())
        del capsule

    def test_a_type_python_has_no_name_for_still_travels(self):
        out = self.publish(shape=(2, 3), dtype="bfloat16")
        with self.assertRaisesRegex(BufferError, "bfloat16"), out.slot():
            pass
        with self.assertRaisesRegex(ValueError, "bf16"):
            out.write(numpy.zeros((2, 3), numpy.uint16))


class DLPack(RingTest):
    def test_a_tensor_is_the_picture_itself_read_only(self):
        frame = self.one(gray(7))
        self.assertEqual(frame.__dlpack_device__(), (1, 0))
        capsule = frame.__dlpack__(max_version=(1, 0))
        made, array = tensor(capsule), frame.numpy()
        self.assertEqual((made.major, made.flags), (1, 1))
        self.assertEqual((made.device_type, made.device_id, made.offset), (1, 0, 0))
        self.assertEqual((made.code, made.bits, made.lanes), (1, 8, 1))
        self.assertEqual(made.data, array.__array_interface__["data"][0])
        self.assertEqual(made.shape[: made.dimensions], [HEIGHT, WIDTH])
        self.assertEqual(tuple(made.strides[: made.dimensions]), array.strides)

    def test_a_packed_picture_has_three_dimensions_and_a_plane_two(self):
        frame = self.one(bytes(HEIGHT * WIDTH * 3), format="rgb24")
        made = tensor(capsule := frame.__dlpack__(max_version=(1, 2)))
        self.assertEqual(made.shape[: made.dimensions], [HEIGHT, WIDTH, 3])
        del capsule
        made = tensor(capsule := frame.planes[0].__dlpack__(max_version=(1, 0)))
        self.assertEqual(made.shape[: made.dimensions], [HEIGHT, WIDTH * 3])

    def test_whoever_takes_a_tensor_ends_the_lease_by_its_deleter(self):
        frame = self.one(gray(7))
        capsule = frame.__dlpack__(max_version=(1, 0))
        taken = take(capsule)
        del frame, capsule
        gc.collect()
        self.assertEqual(self.leases(), 1)
        taken.deleter(ctypes.addressof(taken))
        self.assertEqual(self.leases(), 0)

    def test_a_tensor_that_nobody_takes_ends_with_its_capsule(self):
        frame = self.one(gray(7))
        capsules = [frame.__dlpack__(max_version=(1, 0)) for _ in range(3)]
        frame.release()
        self.assertEqual(self.leases(), 1)
        capsules.clear()
        self.assertEqual(self.leases(), 0)

    def test_a_copy_is_the_consumers_own(self):
        frame = self.one(gray(7))
        made = tensor(capsule := frame.__dlpack__(max_version=(1, 0), copy=True))
        frame.release()
        self.assertEqual((made.flags, self.leases()), (2, 0))
        self.assertEqual(made.strides[: made.dimensions], [WIDTH, 1])
        self.assertEqual(ctypes.string_at(made.data, WIDTH * HEIGHT), gray(7))
        del capsule

    def test_who_cannot_be_told_that_it_is_read_only_is_refused_with_the_cure(self):
        frame = self.one(gray(7))
        for old in [{}, {"max_version": (0, 8)}, {"stream": None}]:
            with self.assertRaisesRegex(BufferError, r"f\.copy\(\)"):
                frame.__dlpack__(**old)
        for elsewhere in [{"stream": 1}, {"dl_device": (2, 0)}]:
            with self.assertRaisesRegex(BufferError, "processor"):
                frame.__dlpack__(max_version=(1, 0), **elsewhere)

    def test_numpy_takes_it_or_its_copy(self):
        frame = self.one(gray(7))
        if NUMPY_IS_OLD:
            with self.assertRaisesRegex(BufferError, r"f\.copy\(\)"):
                numpy.from_dlpack(frame)
        else:
            array = numpy.from_dlpack(frame)
            self.assertEqual(array.__array_interface__["data"], frame.numpy().__array_interface__["data"])
            self.assertFalse(array.flags.writeable)
            frame.release()
            self.assertEqual(self.leases(), 1)
            del array
            self.assertEqual(self.leases(), 0)
        own = self.one(gray(8), ring="cam2.frames").copy()
        own[0, 0] = 9
        self.assertEqual(numpy.from_dlpack(own)[0, :2].tolist(), [9, 8])

    def test_a_copy_keeps_no_lease(self):
        frame = self.one(gray(7))
        copy = frame.copy()
        frame.release()
        self.assertEqual((self.leases(), copy.flags.writeable, copy.flags.c_contiguous), (0, True, True))

    @unittest.skipUnless(importlib.util.find_spec("torch"), "skipped: no torch")
    def test_torch_takes_it(self):
        import torch

        frame = self.one(gray(7))
        self.assertTrue(bool((torch.from_dlpack(frame.copy()) == 7).all()))


if __name__ == "__main__":
    unittest.main()
