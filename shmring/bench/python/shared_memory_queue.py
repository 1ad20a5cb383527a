"""Python's SharedMemory with names passed through a Queue: how many programs share pictures today.

Prints one JSON object. Both ends are Python, which is what those programs are.
"""

import json
import multiprocessing as mp
import statistics
import sys
import time
from multiprocessing.shared_memory import SharedMemory

SMALL = 64
PICTURE = 1920 * 1080 * 3 // 2
SLOTS = 8


def read(queue, answers):
    """Takes names and looks at what they name, at its ends or at every line."""
    open_segments = {}
    while True:
        name, lines = queue.get()
        if name is None:
            break
        if name not in open_segments:
            open_segments[name] = SharedMemory(name=name)
        pixels = open_segments[name].buf
        if lines:
            bytes(pixels[::64])
        else:
            (pixels[0], pixels[-1])
        answers.put(time.monotonic_ns())
    for segment in open_segments.values():
        segment.close()


def main():
    trips = int(sys.argv[1])
    queue, answers = mp.Queue(), mp.Queue()
    sizes = [SMALL] * SLOTS + [PICTURE] * SLOTS
    segments = [SharedMemory(create=True, size=size) for size in sizes]
    reader = mp.Process(target=read, args=(queue, answers), daemon=True)
    reader.start()
    try:
        print(json.dumps(measure(queue, answers, segments, trips)))
    finally:
        queue.put((None, False))
        reader.join(5)
        for segment in segments:
            segment.close()
            segment.unlink()


def measure(queue, answers, segments, trips):
    small, pictures = segments[:SLOTS], segments[SLOTS:]
    for segment in segments:
        one_way_ns(queue, answers, segment)
    picture = bytes(PICTURE)
    begin = time.monotonic()
    for number in range(trips):
        segment = pictures[number % SLOTS]
        segment.buf[:PICTURE] = picture
        queue.put((segment.name, True))
        answers.get()
    passing = (time.monotonic() - begin) / trips
    return {
        "small_us": p50_us(queue, answers, small, trips),
        "picture_us": p50_us(queue, answers, pictures, trips),
        "passing_ms": passing * 1e3,
    }


def p50_us(queue, answers, segments, trips):
    taken = []
    for number in range(trips):
        time.sleep(60e-6)
        taken.append(one_way_ns(queue, answers, segments[number % SLOTS]))
    return statistics.median(taken) / 1e3


def one_way_ns(queue, answers, segment):
    begin = time.monotonic_ns()
    queue.put((segment.name, False))
    return answers.get() - begin


if __name__ == "__main__":
    main()
