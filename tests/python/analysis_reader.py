"""One way for a Python program to look at a camera's pictures: analysis_reader.py WAY SECONDS SOURCE [PROJECT]

WAY is `ring` (SOURCE is a ring of frames of PROJECT), `shared` (the same ring, whose pictures another process copies into
SharedMemory and names through a Queue), `opencv` or `gstreamer` (SOURCE is an rtsp:// address). All look at each picture
in the same way. Says `begin` when pictures come, looks at them for so long, and prints one JSON object: their frame codes
and when each was in hand, processor time of this process and, of that, of looking, and what another process spent, and of
that on handing the pictures over. Exits 3 where something is missing."""
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.shared_memory import SharedMemory

import numpy

WARM_S = 1.5
SLOTS = 8


def number(strip):
    """The frame code in the upper strip (docs/framecode.md), or None."""
    height, width = strip.shape
    cells = strip[4:12].reshape(8, 32, width // 32)[:, :, 2:-2]
    bits = int((cells.mean(axis=(0, 2)) > 128) @ (1 << numpy.arange(32)))
    code = bits & 0xFFFFFF
    return code if bits >> 24 == (code ^ code >> 8 ^ code >> 16) & 0xFF else None


def look(picture):
    """What the analyzers of `framevisor new` do, and the number of the picture."""
    float(picture[::4, ::4].mean())
    upper = picture[:16] if picture.ndim == 2 else numpy.ascontiguousarray(picture[:16, :, 1])
    return number(upper)


def pictures_of_ring(name, project):
    import shmring

    with shmring.attach(name, project=project, reader="bench", wait=60) as ring:
        for frame in ring:
            yield frame.numpy(), (0, 0)


def copy_out(name, project, names, queue):
    """The other process: it reads the same ring, copies each picture, and tells its name and what it took so far: in all,
    and without the reading, which a program that makes its own pictures would not do."""
    import shmring

    parent, slots, read_ns = os.getppid(), [SharedMemory(name=it) for it in names], 0
    with shmring.attach(name, project=project, reader="copier", wait=60) as ring:
        before = time.thread_time_ns()
        for at, frame in enumerate(ring):
            if os.getppid() != parent:
                return  # killed: nobody ends this one
            picture = frame.numpy()
            read_ns += time.thread_time_ns() - before
            slot = slots[at % SLOTS]
            numpy.ndarray(picture.shape, numpy.uint8, slot.buf)[:] = picture
            spent_ns = time.process_time_ns()
            queue.put((slot.name, picture.shape, (spent_ns, spent_ns - read_ns)), timeout=60)
            del picture, frame
            before = time.thread_time_ns()


def pictures_of_shared_memory(name, project):
    # A picture's luma, which is what the look is at: a program that wants colour copies half as much again.
    slots = [SharedMemory(create=True, size=3840 * 2160) for _ in range(SLOTS)]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(SLOTS - 2)
    names = [slot.name for slot in slots]
    copier = context.Process(target=copy_out, args=(name, project, names, queue), daemon=True)
    copier.start()
    by_name = {slot.name: slot for slot in slots}
    try:
        while True:
            slot, shape, spent = queue.get(timeout=60)
            yield numpy.ndarray(shape, numpy.uint8, by_name[slot].buf), spent
    finally:
        copier.kill()
        copier.join()
        for slot in slots:
            slot.unlink()


def pictures_of_opencv(address, _):
    # What people set who want little delay.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"
    import cv2

    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG)
    while True:
        there, picture = capture.read()
        if not there:
            sys.exit("OpenCV read no picture")
        yield picture, (0, 0)


DECODERS = ("avdec_h264", "openh264dec")


def decoder(gst):
    found = [name for name in DECODERS if gst.ElementFactory.find(name)]
    if not found:
        print("GStreamer has no decoder of H.264: " + ", ".join(DECODERS), file=sys.stderr)
        sys.exit(3)
    return found[0]


def pictures_of_gstreamer(address, _):
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    from gi.repository import Gst, GstApp  # noqa: F401: appsink's own calls

    Gst.init(None)
    line = Gst.parse_launch(
        f"rtspsrc location={address} protocols=tcp latency=0 ! rtph264depay ! h264parse ! {decoder(Gst)} ! "
        "video/x-raw,format=I420 ! appsink name=sink sync=false max-buffers=1 drop=true"
    )
    sink = line.get_by_name("sink")
    line.set_state(Gst.State.PLAYING)
    while True:
        sample = sink.try_pull_sample(60 * Gst.SECOND)
        if sample is None:
            sys.exit("GStreamer gave no picture")
        facts = sample.get_caps().get_structure(0)
        width, height = facts.get_value("width"), facts.get_value("height")
        buffer = sample.get_buffer()
        good, memory = buffer.map(Gst.MapFlags.READ)
        if not good:
            sys.exit("GStreamer's buffer cannot be read")
        rows = -(-width // 4) * 4
        luma = numpy.frombuffer(memory.data, numpy.uint8, rows * height).reshape(height, rows)[:, :width]
        yield luma, (0, 0)
        del luma
        buffer.unmap(memory)


WAYS = {
    "ring": pictures_of_ring,
    "shared": pictures_of_shared_memory,
    "opencv": pictures_of_opencv,
    "gstreamer": pictures_of_gstreamer,
}


def main(way, seconds, source, project=None):
    pictures, seen, looked_ns = WAYS[way](source, project), [], 0
    warm = end = begun = None
    for picture, spent in pictures:
        now = time.monotonic_ns()
        before = time.thread_time_ns()
        code = look(picture)
        looked_ns += time.thread_time_ns() - before
        del picture
        seen.append((code, now))
        if warm is None:
            warm = now + int(WARM_S * 1e9)
        elif end is None and now >= warm:
            print("begin", flush=True)
            end = now + int(float(seconds) * 1e9)
            begun = (time.monotonic_ns(), time.process_time_ns(), spent)
            seen, looked_ns = [], 0
        elif end is not None and now >= end:
            break
    spent_ns = time.process_time_ns() - begun[1]
    print(json.dumps({
        "seen": seen,
        "span_ns": time.monotonic_ns() - begun[0],
        "cpu_ns": spent_ns,
        "look_ns": looked_ns,
        "others_ns": spent[0] - begun[2][0],
        "handing_ns": spent[1] - begun[2][1],
    }), flush=True)
    pictures.close()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ImportError, ValueError) as error:
        # gi.require_version raises ValueError where a package is missing.
        print(error, file=sys.stderr)
        sys.exit(3)
