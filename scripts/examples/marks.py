#!/usr/bin/env python3
"""An overlay for a compositor: a frame around the brightest place of every fifth picture.

    marks: {run: [python3, marks.py], in: cam1.frames, out: marks.frames}
    mix:   {use: compositor, in: [cam1.frames, marks.frames], places: {marks.frames: {over: cam1.frames}}}

The names of its rings come from the topology. An overlay may be smaller than the picture that it lies over: this
one has half of each side, and so a quarter of the work."""
import os

import numpy
import shmring

EVERY, STEP = 5, 16
source, target = os.environ["FRAMEVISOR_IN"].split(",")[0], os.environ["FRAMEVISOR_OUT"]

with shmring.attach(source, every=EVERY) as ring:
    out, size = None, (0, 0)
    for f in ring:
        luma = f.numpy()
        height, width = luma.shape[0] // 2, luma.shape[1] // 2
        if (height, width) != size:
            if out:
                out.close()
            size = height, width
            out = shmring.publish(target, shape=(height, width, 4), format="rgba", fps=5, source=source)
        y, x = numpy.unravel_index(luma[::STEP, ::STEP].argmax(), luma[::STEP, ::STEP].shape)
        top, left = max(y * STEP // 2 - 8, 0), max(x * STEP // 2 - 8, 0)
        picture = numpy.zeros((height, width, 4), dtype=numpy.uint8)
        picture[top:top + 24, left:left + 24] = (255, 64, 0, 255)
        picture[top + 2:top + 22, left + 2:left + 22] = 0
        out.write(picture, at=f)
