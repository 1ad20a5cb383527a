#!/usr/bin/env python3
"""Sixteen cameras come and go while a project runs:

    PYTHONPATH=supervisor/python scripts/examples/sixteen.py [PROJECT]"""
import sys
import time

import framevisor

SOURCE = "test:?size=320x192&fps=25&bitrate=1M&mode=loop"
FIRST = {"version": 1, "cameras": {"cam0": {"url": SOURCE, "serve": []}}}
# Whoever looks for motion reads pictures, so each has a decoder too.
CAMERA = {"url": SOURCE, "serve": [], "motion": {"fps": 5}}
CAMERAS = {f"cam{number}": CAMERA for number in range(1, 17)}


def flowing(project):
    """How many rings of the sixteen have had a packet or a picture."""
    rings = [ring for ring in project.rings() if ring.kind != "events" and ring.name.split(".")[0] in CAMERAS]
    return sum(ring.head > 0 for ring in rings), len(rings)


with framevisor.up(FIRST, project=sys.argv[1] if sys.argv[1:] else "sixteen") as project:
    project.add({"version": 1, "cameras": CAMERAS})
    project.wait(flowing=True, timeout=120)
    # A decoder rests until its reader has come, and nobody waits for who rests.
    deadline = time.monotonic() + 60
    while flowing(project)[0] < 2 * len(CAMERAS) and time.monotonic() < deadline:
        time.sleep(0.1)
    print("{} of {} rings flow".format(*flowing(project)))

    project.restart("cam7")
    for _ in range(20):
        project.stop("cam16")
        project.start("cam16")
    project.wait(flowing=True, timeout=60)

    project.remove(*CAMERAS)
    print(", ".join(worker.name for worker in project.workers()), "is left")
