#!/usr/bin/env python3
"""Live video and live numbers out of a program: a ball that loses its energy, 30 pictures and 90 numbers a second.

One command shows them, at http://127.0.0.1:8080/ and rtsp://127.0.0.1:8554/sim:

    PYTHONPATH=$(scripts/python-path) framevisor -f scripts/topologies/streamview.yml up

By hand, for a topology that reads a ring of a program outside: streamview.py ext.sim.frames [PICTURES]"""
import itertools
import sys
import time

import numpy
import shmring

HEIGHT, WIDTH, FPS = 480, 640, 30
RADIUS, GRAVITY, BOUNCE = 24, 900.0, 0.82


class Ball:
    """Pixels and seconds; what it loses at each bounce it gets back once it lies still."""

    def __init__(self):
        self.x, self.y, self.right, self.down = 80.0, 60.0, 160.0, 0.0

    def step(self, seconds):
        self.down += GRAVITY * seconds
        self.x, self.y = self.x + self.right * seconds, self.y + self.down * seconds
        if not RADIUS <= self.x <= WIDTH - RADIUS:
            self.x, self.right = min(max(self.x, RADIUS), WIDTH - RADIUS), -self.right
        if self.y > HEIGHT - RADIUS:
            self.y, self.down = HEIGHT - RADIUS, -self.down * BOUNCE
            if abs(self.down) < 60:
                self.y, self.down = 60.0, 0.0

    @property
    def height(self):
        return HEIGHT - RADIUS - self.y

    @property
    def speed(self):
        return float(numpy.hypot(self.right, self.down))

    @property
    def energy(self):
        return self.speed**2 / 2 + GRAVITY * self.height


def background():
    """A sky, from the top down."""
    picture = numpy.zeros((HEIGHT, WIDTH, 3), numpy.uint8)
    picture[..., 2] = numpy.linspace(120, 30, HEIGHT)[:, None]
    picture[..., 1] = numpy.linspace(60, 30, HEIGHT)[:, None]
    return picture


def main(name=None, pictures=None):
    ball, sky, due = Ball(), background(), time.monotonic()
    y, x = numpy.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    disc = x * x + y * y <= RADIUS * RADIUS
    # The worker `sim` encodes each of them: for a second nothing that it has not taken is overwritten.
    with shmring.publish(name, shape=sky.shape, fps=FPS, readers=8, essential={"sim": "1s"}) as out:
        for _ in itertools.islice(itertools.count(), pictures):
            ball.step(1 / FPS)
            top, left = int(ball.y) - RADIUS, int(ball.x) - RADIUS
            # Drawn where readers will look: nothing is copied afterwards.
            with out.slot() as picture:
                picture[...] = sky
                place = picture[max(top, 0) : top + 2 * RADIUS + 1, left : left + 2 * RADIUS + 1]
                place[disc[-place.shape[0] :, : place.shape[1]]] = (255, 190, 40)
            out.metric(height=round(ball.height, 1), speed=round(ball.speed, 1), energy=round(ball.energy))
            due = max(due + 1 / FPS, time.monotonic() - 1)
            time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
