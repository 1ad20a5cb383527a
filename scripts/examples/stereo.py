#!/usr/bin/env python3
"""How near things are that two cameras see: stereo.py left.frames right.frames [--focal PIXELS --baseline METRES]

    depth: {run: [python3, stereo.py, --focal, '820', --baseline, '0.12'], in: [left.frames, right.frames], out: depth.events}

The two cameras look the same way, side by side, their pictures rectified. Both pictures of a pair were taken within
--tolerance of each other; a record tells by how much (`skew_ms`) and, for each tile of the left one, how many pixels farther
left the right camera sees it, and with --focal and --baseline how many metres away that is. null: too little to see there.

More cameras than two: `shmring.sync("hall-*")` gives a frame of each, as two_cameras.py shows."""
import argparse
import os

import numpy
import shmring

#: Pictures are looked at in so many pixels a step, and told apart in so many tiles.
STEP, ROWS, COLUMNS = 4, 3, 4
#: A tile with less contrast than this says nothing.
TEXTURE = 4.0


def coarse(frame):
    """Luma, of a size that tiles divide."""
    picture = frame.numpy()
    luma = (picture if picture.ndim == 2 else picture[..., 1])[::STEP, ::STEP]
    height, width = luma.shape
    return luma[: height // ROWS * ROWS, : width // COLUMNS * COLUMNS].astype(numpy.float32)


def tiles(picture):
    height, width = picture.shape
    return picture.reshape(ROWS, height // ROWS, COLUMNS, width // COLUMNS)


def disparities(left, right):
    """For each tile of `left` the shift, in pixels of the whole picture, at which `right` is most like it."""
    reach = left.shape[1] // COLUMNS // 2
    costs = []
    for shift in range(reach):
        difference = numpy.full_like(left, numpy.nan)
        difference[:, shift:] = numpy.abs(left[:, shift:] - right[:, : left.shape[1] - shift])
        costs.append(numpy.nanmean(tiles(difference), axis=(1, 3)))
    best = numpy.argmin(costs, axis=0) * STEP
    flat = tiles(left).std(axis=(1, 3)) < TEXTURE
    return [[None if blank else int(it) for it, blank in zip(*row)] for row in zip(best, flat)]


def metres(disparity, focal, baseline):
    return round(focal * baseline / disparity, 3) if disparity else None


def main():
    parser = argparse.ArgumentParser(description="How near things are that two cameras see.")
    parser.add_argument("rings", nargs="*", help="left and right; as a worker those of the topology")
    parser.add_argument("--tolerance", default="20ms")
    parser.add_argument("--focal", type=float, help="of the cameras, in pixels")
    parser.add_argument("--baseline", type=float, help="from one to the other, in metres")
    options = parser.parse_args()
    left, right = options.rings or os.environ["FRAMEVISOR_IN"].split(",")
    with shmring.sync([left, right], options.tolerance) as pairs:
        for pair in pairs:
            if pair.missing:
                continue
            pictures = [coarse(pair[name]) for name in (left, right)]
            if pictures[0].shape != pictures[1].shape:
                raise SystemExit(f"{left} and {right}: expected pictures of one size")
            data = {"skew_ms": round(pair.skew * 1e3, 2), "disparity": disparities(*pictures)}
            if options.focal and options.baseline:
                far = [[metres(it, options.focal, options.baseline) for it in row] for row in data["disparity"]]
                near = [it for row in far for it in row if it is not None]
                data |= {"metres": far, "nearest": min(near, default=None)}
            shmring.emit(None, "stereo", data, at=pair[left])


if __name__ == "__main__":
    main()
