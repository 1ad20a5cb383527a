#!/usr/bin/env python3
"""Follows bright things through each fifth picture, by their centroids: centroid_tracking.py cam1.frames

    track: {run: [python3, centroid_tracking.py], in: cam1.frames, out: track.events}

A record for each thing in each picture looked at: `track` is its number for as long as it is followed, `x` and `y` where
it is, `box` how far it reaches. `framevisor send track '{"above": 180}'` sets how bright a thing is, of 255."""
import itertools
import sys

import numpy
import shmring

EVERY = 5
#: Pixels of one cell: what is smaller is not followed.
CELL = 8
#: So far a thing may go from one look to the next, as a share of the picture's diagonal,
REACH = 0.15
#: and for so many looks it may be hidden.
PATIENCE = 5


def things(luma, above):
    """Boxes (x, y, w, h) and centroids of what is brighter than `above`, in pixels."""
    rows, columns = (side // CELL for side in luma.shape[:2])
    cells = luma[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL, -1).mean(axis=(1, 3, 4))
    left = {tuple(cell) for cell in numpy.argwhere(cells > above)}
    while left:
        # One thing is cells that touch, corners too.
        thing, edge = [], [left.pop()]
        while edge:
            y, x = edge.pop()
            thing.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge.extend(near)
        ys, xs = numpy.array(thing).T
        weights = cells[ys, xs] - above
        top, start = ys.min(), xs.min()
        box = [int(it) * CELL for it in (start, top, xs.max() + 1 - start, ys.max() + 1 - top)]
        centre = (numpy.average(xs, weights=weights) + 0.5, numpy.average(ys, weights=weights) + 0.5)
        yield box, tuple(round(float(it) * CELL, 1) for it in centre)


class Tracks:
    """Gives each thing the number of the one that was nearest before."""

    def __init__(self):
        self.known, self.numbers = {}, itertools.count(1)

    def follow(self, centres, reach):
        """Their numbers, in their order."""
        pairs = sorted(
            (numpy.hypot(at[0] - x, at[1] - y), number, index)
            for number, (at, _) in self.known.items()
            for index, (x, y) in enumerate(centres)
        )
        given = {}
        for distance, number, index in pairs:
            if distance <= reach and index not in given and number not in given.values():
                given[index] = number
        for index in range(len(centres)):
            given.setdefault(index, None)
            given[index] = given[index] or next(self.numbers)
        hidden = {number: (at, looks + 1) for number, (at, looks) in self.known.items() if looks < PATIENCE}
        self.known = hidden | {number: (centres[index], 0) for index, number in given.items()}
        return [given[index] for index in range(len(centres))]


def main(*name):
    above, tracks, size = 200.0, Tracks(), None
    with shmring.attach(*name, every=EVERY, messages=True) as ring:
        for item in ring:
            if isinstance(item, shmring.Message):
                try:
                    above = float(item.data["above"])
                    item.reply({"above": above})
                except (KeyError, TypeError, ValueError):
                    item.refuse('expected {"above": NUMBER}')
                continue
            luma = item.numpy()
            if luma.shape != size:
                size, tracks = luma.shape, Tracks()
            found = list(things(luma, above))
            numbers = tracks.follow([centre for _, centre in found], REACH * numpy.hypot(*size[:2]))
            for number, (box, (x, y)) in zip(numbers, found):
                data = {"track": number, "label": f"thing {number}", "x": x, "y": y, "box": box}
                data |= {"width": size[1], "height": size[0]}
                ring.emit("track", data, at=item, id=f"track-{number}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
