#!/usr/bin/env python3
"""Cuts pictures out of a coloured background: colour_key.py [IN OUT] [--key 0,177,64] [--tolerance 60]

    cut: {run: [python3, colour_key.py], in: studio.frames, out: cut.frames}
    mix: {use: compositor, in: [room.frames, cut.frames], places: {cut.frames: {over: room.frames}}}

What is written has alpha 0 where the colour was; a compositor lays it over another camera. (It can key colours by
itself, too: `key` of `places`. This one is yours to change.) `framevisor send cut '{"tolerance": 90}'` takes effect with
the next picture."""
import argparse

import numpy
import shmring


def keyed(rgb, key, tolerance, out):
    """Writes `rgb` with alpha into `out`, and gives the share that was cut away."""
    away = numpy.abs(rgb.astype(numpy.int16) - key).max(axis=2) <= tolerance
    out[..., :3] = rgb
    out[..., 3] = numpy.where(away, 0, 255)
    return float(away.mean())


def main():
    parser = argparse.ArgumentParser(description="Cuts pictures out of a coloured background.")
    parser.add_argument("names", nargs="*", help="the rings read and written; as a worker those of the topology")
    parser.add_argument("--key", default="0,177,64", help="red,green,blue of the background")
    parser.add_argument("--tolerance", type=int, default=60, help="how far a channel may be from it, 0 to 255")
    options = parser.parse_args()
    key = numpy.array([int(part) for part in options.key.split(",")], dtype=numpy.int16)
    source, target = (options.names + [None, None])[:2]
    with shmring.attach(source, messages=True) as ring:
        out, size = None, None
        for item in ring:
            if isinstance(item, shmring.Message):
                try:
                    options.tolerance = int(item.data["tolerance"])
                    item.reply({"tolerance": options.tolerance})
                except (KeyError, TypeError, ValueError):
                    item.refuse('expected {"tolerance": NUMBER}')
                continue
            rgb = item.rgb()
            if rgb.shape != size:
                if out is not None:
                    out.close()
                size = rgb.shape
                out = shmring.publish(
                    target, shape=(*size[:2], 4), format="rgba", source=ring.name, project=ring.project
                )
            # Drawn where readers look. What is cut is told with the picture, as a metric.
            with out.slot(at=item) as picture:
                share = keyed(rgb, key, options.tolerance, picture)
            if item.seq % 25 == 0:
                out.metric(cut=round(share, 3))


if __name__ == "__main__":
    main()
