#!/usr/bin/env python3
"""Statistics of each picture as records: numpy_statistics.py cam1.frames

    stats: {run: [python3, numpy_statistics.py], in: cam1.frames, out: stats.events, policy: every 5}

`sharpness` falls when a lens is out of focus or dirty, `contrast` in fog, `clipped` rises against the sun."""
import sys

import numpy
import shmring


def statistics(luma):
    """Of a picture's luma, or of all samples where colours are packed."""
    samples = luma[::2, ::2].astype(numpy.float32)
    low, middle, high = numpy.percentile(samples, [5, 50, 95])
    # The second difference, in both directions: edges have much of it, blur has none.
    bend = 4 * samples[1:-1, 1:-1] - samples[:-2, 1:-1] - samples[2:, 1:-1] - samples[1:-1, :-2] - samples[1:-1, 2:]
    return {
        "mean": round(float(samples.mean()), 1),
        "median": float(middle),
        "contrast": float(high - low),
        "sharpness": round(float(bend.var()), 1),
        "clipped": round(float((samples >= 250).mean()), 4),
    }


with shmring.attach(*sys.argv[1:2], messages=True) as ring:
    for item in ring:
        if isinstance(item, shmring.Message):
            item.refuse("nothing can be set")
        else:
            ring.emit("statistics", statistics(item.numpy()), at=item)
