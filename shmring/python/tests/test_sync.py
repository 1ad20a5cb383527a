"""Several cameras read together. What belongs together is decided, and tested, in the Rust crate."""

import os
import threading
import unittest
import unittest.mock

import numpy
import shmring

from ringtest import SOON, RingTest


class Sets(RingTest):
    def setUp(self):
        super().setUp()
        self.cameras = {}
        for name in ["hall-1.frames", "hall-2.frames", "yard.frames"]:
            writer = shmring.publish(name, shape=(4, 4), project=self.project)
            self.addCleanup(writer.close)
            self.cameras[name] = writer

    def put(self, name, time, value=0):
        """A picture of `name`, taken so many seconds after the beginning of the test."""
        self.cameras[name].write(numpy.full((4, 4), value, numpy.uint8), time=1.8e9 + time)

    def sync(self, names, **options):
        cameras = shmring.sync(names, project=self.project, **options)
        self.addCleanup(cameras.close)
        return cameras

    def test_pictures_of_one_instant_come_together(self):
        cameras = self.sync(["hall-1.frames", "hall-2"], policy="sequential")
        self.assertEqual(cameras.names, ("hall-1.frames", "hall-2.frames"))
        for number in range(3):
            self.put("hall-1.frames", number, value=number)
            self.put("hall-2.frames", number + 0.02, value=number + 100)
        for number in range(3):
            group = cameras.next(timeout=SOON)
            self.assertEqual(set(group), set(cameras.names))
            self.assertEqual([int(frame.numpy()[0, 0]) for frame in group.values()], [number, number + 100])
            self.assertAlmostEqual(group.skew, 0.02, places=3)
            self.assertEqual(group.missing, ())
        self.assertIsNone(cameras.next(timeout=0))

    def test_a_camera_without_a_picture_is_none_and_named(self):
        cameras = self.sync("hall-*", tolerance=0.04)
        self.put("hall-2.frames", 0)
        group = cameras.next(timeout=SOON)
        self.assertIsNone(group["hall-1.frames"])
        self.assertEqual((group["hall-2.frames"].seq, group.missing, group.skew), (1, ("hall-1.frames",), 0.0))

    def test_every_thins_out_groups_and_not_the_rings_each_by_itself(self):
        with unittest.mock.patch.dict(os.environ, FRAMEVISOR_POLICY="every 3"):
            told = self.sync(["hall-1", "hall-2"])
        said = self.sync(["hall-1", "hall-2"], policy="every 2", reader="said")
        # As two cameras that were started at different times: one is two pictures ahead.
        self.put("hall-1.frames", -2)
        self.put("hall-1.frames", -1)
        for cameras in [told, said]:
            self.assertIsNone(cameras.next(timeout=0))
        seen = {told: [], said: []}
        for number in range(7):
            self.put("hall-1.frames", number, value=number)
            self.put("hall-2.frames", number + 0.02, value=number)
            for cameras, values in seen.items():
                if group := cameras.next(timeout=0):
                    values.append([int(frame.numpy()[0, 0]) for frame in group.values()])
        self.assertEqual(seen[told], [[number, number] for number in (0, 3, 6)])
        self.assertEqual(seen[said], [[number, number] for number in (0, 2, 4, 6)])

    def test_a_worker_waits_for_rings_that_are_not_there_yet(self):
        def begin():
            self.cameras["late"] = shmring.publish("late.frames", shape=(4, 4), project=self.project)

        late = threading.Timer(0.3, begin)
        self.addCleanup(lambda: (late.join(), self.cameras["late"].close()))
        with unittest.mock.patch.dict(os.environ, FRAMEVISOR_WORKER="pairs", FRAMEVISOR_PROJECT=self.project):
            late.start()
            with shmring.sync(["hall-1", "late"]) as cameras:
                self.assertEqual(cameras.names, ("hall-1.frames", "late.frames"))

    def test_a_pattern_is_all_rings_of_frames_that_fit(self):
        self.assertEqual(set(self.sync("hall-?").names), {"hall-1.frames", "hall-2.frames"})
        self.assertEqual(len(self.sync("*").names), 3)
        self.assertEqual(self.sync(["yard", "y*"]).names, ("yard.frames",))
        with self.assertRaisesRegex(shmring.NoSuchRing, "yard.frames of"):
            self.sync("roof-*")
        with self.assertRaises(shmring.NoSuchRing):
            self.sync("roof", wait=0.05)
        with self.assertRaises(shmring.NoSuchRing):
            self.sync([])

    def test_several_projects_are_told_apart(self):
        camera = f"both{os.getpid()}.frames"
        for project in [self.project, f"{self.project}x"]:
            self.addCleanup(self.sweep, project)
            writer = shmring.publish(camera, shape=(4, 4), project=project)
            self.addCleanup(writer.close)
        with self.assertRaises(shmring.Ambiguous):
            shmring.sync(camera)

    def test_groups_are_iterated_and_a_closed_set_says_so(self):
        with self.sync("hall-1") as cameras:
            self.put("hall-1.frames", 0)
            group = next(iter(cameras))
            self.assertEqual(list(group), ["hall-1.frames"])
            self.assertEqual(cameras.missed, 0)
        with self.assertRaises(shmring.Closed):
            cameras.next(timeout=0)
        self.assertEqual(int(group["hall-1.frames"].numpy()[0, 0]), 0)
        self.assertEqual(self.row("yard.frames")["readers"], [])

    def test_wrong_arguments_are_value_errors(self):
        for wrong in [{"tolerance": "40"}, {"tolerance": -1.0}, {"policy": "some"}, {"wait": -1}]:
            with self.subTest(wrong), self.assertRaises(ValueError):
                self.sync("hall-*", **wrong)


if __name__ == "__main__":
    unittest.main()
