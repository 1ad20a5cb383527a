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
