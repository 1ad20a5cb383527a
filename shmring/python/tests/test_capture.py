"""VideoCapture: the OpenCV program that reads a ring instead."""

import importlib.util
import unittest

import numpy
import shmring

from ringtest import HEIGHT, SOON, WIDTH, RingTest, gray

POS_MSEC, POS_FRAMES, FRAME_WIDTH, FRAME_HEIGHT, FPS, FRAME_COUNT = 0, 1, 3, 4, 5, 7
READ_TIMEOUT_MSEC, OPEN_TIMEOUT_MSEC = 54, 53


def quick():
    capture = shmring.VideoCapture()
    capture.set(OPEN_TIMEOUT_MSEC, 50)
    capture.set(READ_TIMEOUT_MSEC, 50)
    return capture


class Captures(RingTest):
    def opened(self, **options):
        capture = quick()
        self.addCleanup(capture.release)
        self.assertTrue(capture.open("cam1", self.project, **options))
        return capture

    def test_pictures_are_blue_green_red_and_the_programs_own(self):
        writer = self.paint("rgb24")
        writer.put(bytes([1, 2, 3]) * (WIDTH * HEIGHT))
        capture = self.opened()
        good, picture = capture.read()
        self.assertTrue(good and capture.isOpened())
        self.assertEqual((picture.shape, picture[0, 0].tolist()), ((HEIGHT, WIDTH, 3), [3, 2, 1]))
        picture[0, 0] = 9

    def test_the_newest_picture_is_read_or_each_in_turn(self):
        writer = self.paint()
        writer.put(gray(1))
        newest, each = self.opened(), self.opened(policy="sequential")
        for number in range(2, 6):
            writer.put(gray(number))
        self.assertEqual(newest.read()[1][0, 0, 0], 5)
        self.assertEqual([each.read()[1][0, 0, 0] for _ in range(5)], [1, 2, 3, 4, 5])
        self.assertEqual(newest.read(), (False, None))

    def test_grab_takes_and_retrieve_converts(self):
        writer = self.paint()
        writer.put(gray(7))
        capture = self.opened()
        self.assertEqual(capture.retrieve(), (False, None))
        self.assertTrue(capture.grab())
        target = numpy.zeros((HEIGHT, WIDTH, 3), numpy.uint8)
        self.assertIs(capture.retrieve(target)[1], target)
        self.assertTrue((target == 7).all() and (capture.retrieve()[1] == 7).all())

    def test_a_loop_holds_one_picture(self):
        writer = self.paint()
        writer.put(gray(0))
        capture = self.opened()
        for number in range(1, 50):
            self.assertTrue(capture.read()[0])
            writer.put(gray(number))
        self.assertEqual(self.leases(), 1)

    def test_properties_are_those_of_the_ring(self):
        writer = self.paint()
        writer.put(gray(1))
        capture = self.opened()
        self.assertEqual([capture.get(side) for side in (FRAME_WIDTH, FRAME_HEIGHT, FPS)], [WIDTH, HEIGHT, 25])
        self.assertEqual([capture.get(number) for number in (POS_FRAMES, FRAME_COUNT, 999)], [0, -1, 0])
        capture.read()
        writer.put(gray(2))
        capture.read()
        self.assertEqual((capture.get(POS_MSEC), capture.get(POS_FRAMES)), (40.0, 2))
        self.assertEqual((capture.set(FRAME_WIDTH, 1), capture.get(READ_TIMEOUT_MSEC)), (False, 50))

    def test_what_cannot_be_opened_is_closed_or_an_exception(self):
        capture = quick()
        self.assertFalse(capture.open("none", self.project))
        self.assertEqual((capture.isOpened(), capture.read(), capture.get(FRAME_WIDTH)), (False, (False, None), 0))
        capture.setExceptionMode(True)
        self.assertTrue(capture.getExceptionMode())
        with self.assertRaises(shmring.NoSuchRing):
            capture.open("none", self.project)

    def test_a_released_capture_gives_its_place_back(self):
        self.paint().put(gray(1))
        capture = self.opened()
        capture.release()
        self.assertEqual((capture.isOpened(), self.row()["readers"]), (False, []))

    @unittest.skipUnless(importlib.util.find_spec("cv2"), "skipped: no cv2")
    def test_it_has_what_opencv_programs_use_and_its_pictures_are_opencvs(self):
        import cv2

        self.paint().put(gray(7))
        capture = self.opened()
        self.assertEqual(capture.get(cv2.CAP_PROP_FRAME_WIDTH), WIDTH)
        _, picture = capture.read()
        self.assertEqual(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[0, 0], 7)
        used = ["open", "isOpened", "read", "grab", "retrieve", "get", "set", "release", "getBackendName"]
        for name in [*used, "setExceptionMode", "getExceptionMode"]:
            self.assertTrue(callable(getattr(cv2.VideoCapture, name)) and callable(getattr(capture, name)))


if __name__ == "__main__":
    unittest.main()
