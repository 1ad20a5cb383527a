"""Attaches to a frame ring by name and proves three things about its arrays.

usage: hash_frames.py PROJECT RING ARRAYS SOURCE_FILE

Each array's SHA-256 is one of those of the source's pictures as ffmpeg decodes them, its address
lies inside the ring's read-only mapping, and writing to it fails.
"""

import hashlib
import json
import subprocess
import sys

import numpy

import shmring


def reference_hashes(source, width, height):
    """SHA-256 of each picture's Y plane, decoded by ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-i", source, "-fps_mode", "passthrough"]
    command += ["-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    luma, picture = width * height, width * height * 3 // 2
    return {hashlib.sha256(raw[at : at + luma]).hexdigest() for at in range(0, len(raw), picture)}


def is_in_ring(address, size, project, ring):
    """Whether the bytes lie in a read-only mapping of one of the ring's files."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            if f"fv.{project}.{ring}." not in line:
                continue
            span, mode = line.split()[:2]
            low, high = (int(end, 16) for end in span.split("-"))
            if low <= address and address + size <= high:
                return "w" not in mode
    return False


def refuses_writing(array):
    try:
        array[0, 0] = 1
    except ValueError:
        return True
    return False


def main():
    project, ring_name, arrays, source = sys.argv[1:]
    with shmring.attach(ring_name, project=project, policy="sequential", reader="hash_frames") as ring:
        hashes, equal, seen = None, 0, 0
        for frame in ring:
            array = frame.numpy()
            if hashes is None:
                hashes = reference_hashes(source, frame.width, frame.height)
            address = array.__array_interface__["data"][0]
            assert is_in_ring(address, array.strides[0] * (array.shape[0] - 1) + array.shape[1], project, ring_name)
            assert not array.flags.writeable and refuses_writing(array)
            digest = hashlib.sha256(numpy.ascontiguousarray(array).tobytes()).hexdigest()
            assert digest in hashes, f"frame {frame.seq} is none of the source's pictures"
            equal += 1
            seen += 1
            if seen == int(arrays):
                break
    print(json.dumps({"arrays": seen, "equal": equal}))


main()
