"""Attaches to rings of one decoder, on a device and in the machine's memory, and compares their pictures by frame id.

usage: device_frames.py PROJECT COUNT

Says "half" once COUNT pictures of one epoch were the same by DLPack, by copy and in the machine's memory; then, when
the decoder has been killed, goes on until it has as many of the next one, and prints what it saw.
"""

import ctypes
import json
import os
import sys
from collections import OrderedDict

import numpy
import shmring

DRIVER = ctypes.CDLL(os.environ["FRAMEVISOR_LIBCUDA"])


class Tensor(ctypes.Structure):
    """The begin of DLPack's DLManagedTensorVersioned."""

    _fields_ = [
        ("version", ctypes.c_uint64), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64), ("data", ctypes.c_uint64), ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32), ("dimensions", ctypes.c_int32), ("type", ctypes.c_uint32),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
    ]  # fmt: skip


def by_tensor(plane):
    """What a consumer on the device finds, fetched by the driver row by row."""
    capsule = plane.__dlpack__(max_version=(1, 0))
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = Tensor.from_address(pointer(capsule, b"dltensor_versioned"))
    assert tensor.device_type == 2 and tensor.dimensions == 2
    seen = numpy.zeros((tensor.shape[0], tensor.shape[1]), numpy.uint8)
    context = ctypes.c_void_p()
    assert DRIVER.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert DRIVER.cuCtxPushCurrent_v2(context) == 0
    for y in range(tensor.shape[0]):
        row, at = ctypes.c_void_p(seen[y].ctypes.data), ctypes.c_uint64(tensor.data + y * tensor.strides[0])
        assert DRIVER.cuMemcpyDtoH_v2(row, at, ctypes.c_size_t(tensor.shape[1])) == 0
    DRIVER.cuCtxPopCurrent_v2(None)
    DRIVER.cuDevicePrimaryCtxRelease(0)
    return seen


class Epoch:
    """Pictures of one life of the decoder."""

    def __init__(self):
        self.kept = {"cam.here.frames": OrderedDict(), "cam.frames": OrderedDict(), "cam.rgb.frames": OrderedDict()}
        self.equal, self.scaled, self.lost = 0, 0, 0

    def take(self, ring, frame):
        identity = (frame.id.epoch, frame.id.sequence)
        if ring == "cam.here.frames":
            seen = [numpy.array(plane) for plane in frame.planes]
        elif ring == "cam.frames":
            seen = [by_tensor(plane) for plane in frame.planes]
            assert (frame.copy() == seen[0]).all() and frame.device
        else:
            seen = frame.copy()
        if frame.lost:
            self.lost += 1
            return
        kept = self.kept[ring]
        kept[identity] = seen
        while len(kept) > 60:
            kept.popitem(last=False)
        self.compare(identity)

    def compare(self, identity):
        here, there, rgb = (self.kept[ring].get(identity) for ring in ("cam.here.frames", "cam.frames", "cam.rgb.frames"))
        if here is None or there is None or rgb is None:
            return
        assert all((one == other).all() for one, other in zip(here, there)), f"picture {identity} differs"
        self.equal += 1
        # Its brightness is about that of the picture that it was made of.
        luma = here[0].astype(float).mean()
        self.scaled += int(abs((rgb.astype(float).mean() * 219 / 255 + 16) - luma) < 12)


def main(project, count):
    names = ("cam.frames", "cam.here.frames", "cam.rgb.frames")
    rings = {name: shmring.attach(name, project, wait=60, reader="device_frames") for name in names}
    epochs, half = OrderedDict(), False
    while True:
        for name, ring in rings.items():
            try:
                frame = ring.next(timeout=60)
            except shmring.WriterLost:
                continue
            # Each ring has an epoch of its own; lives of the decoder follow one another.
            lives = epochs.setdefault(name, [])
            if frame.epoch not in lives:
                lives.append(frame.epoch)
            life = epochs.setdefault(len(lives), Epoch())
            try:
                life.take(name, frame)
            except shmring.WriterLost:
                life.lost += 1
            frame.release()
        if not half and epochs[1].equal >= count:
            half = True
            print("half", flush=True)
        if half and 2 in epochs and epochs[2].equal >= count:
            lives = [epochs[1], epochs[2]]
            print(json.dumps({"equal": [it.equal for it in lives], "scaled": [it.scaled for it in lives], "lost": sum(it.lost for it in lives)}))
            return


main(sys.argv[1], int(sys.argv[2]))
