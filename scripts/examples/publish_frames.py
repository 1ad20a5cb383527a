#!/usr/bin/env python3
"""Pictures and metrics of a program of yours, for everybody: publish_frames.py sim.frames [PICTURES]

Look at them with mean.py or qt_viewer.py. FRAMEVISOR_PROJECT names the project they belong to."""
import itertools
import sys
import time

import numpy
import shmring

HEIGHT, WIDTH, FPS = 360, 640, 25

name, *count = sys.argv[1:]
x = numpy.arange(WIDTH)
with shmring.publish(name, shape=(HEIGHT, WIDTH, 3), fps=FPS) as out:
    for number in itertools.islice(itertools.count(), *map(int, count)):
        # Drawn where readers will look: nothing is copied.
        with out.slot() as picture:
            picture[:, :, 0] = (x + number) % 256
            picture[:, :, 1] = 128
            picture[:, :, 2] = number % 256
        if number % FPS == 0:
            out.metric(pictures=out.seq, readers=out.readers)
        time.sleep(1 / FPS)
