"""What happens to a reader beside items: told as figures, and by strict rings as exceptions."""

import multiprocessing
import os
import subprocess
import sys
import time
import unittest

import numpy
import shmring

from ringtest import SOON, RingTest, gray


class Strict(RingTest):
    def test_a_restarted_writer_is_an_exception_with_the_new_ring(self):
        first = self.paint()
        ring = self.attach(strict=True)
        first.put(gray(1))
        before = ring.next(timeout=SOON).epoch
        first.kill()
        second = self.paint(size=(64, 32))
        second.put(bytes(64 * 32))
        with self.assertRaises(shmring.WriterRestarted) as told:
            ring.next(timeout=SOON)
        self.assertGreater(told.exception.epoch, before)
        self.assertEqual((told.exception.info["width"], told.exception.info["height"]), (64, 32))
        self.assertEqual(ring.next(timeout=SOON).epoch, told.exception.epoch)

    def test_a_killed_writer_is_told_once(self):
        writer = self.paint()
        ring = self.attach(strict=True)
        writer.put(gray(1))
        self.assertEqual(ring.next(timeout=SOON).seq, 1)
        writer.kill()
        with self.assertRaisesRegex(shmring.WriterLost, "cam1.frames"):
            ring.next(timeout=SOON)
        self.assertIsNone(ring.next(timeout=0.01))
        self.paint().put(gray(2))
        with self.assertRaises(shmring.WriterRestarted):
            ring.next(timeout=SOON)

    def test_what_was_overwritten_is_an_exception_with_its_number(self):
        writer = self.paint()
        ring = self.attach(strict=True, policy="sequential")
        for number in range(300):
            writer.put(gray(number))
        with self.assertRaises(shmring.Overrun) as told:
            ring.next(timeout=SOON)
        frame = ring.next(timeout=SOON)
        self.assertEqual((frame.seq, frame.missed, ring.missed), (told.exception.missed + 1, 0, told.exception.missed))

    def test_the_end_of_a_writer_ends_a_loop(self):
        writer = self.paint()
        ring = self.attach(strict=True, policy="sequential")
        for number in range(3):
            writer.put(gray(number))
        writer.finish()
        self.assertEqual([frame.seq for frame in ring], [1, 2, 3])
        with self.assertRaises(shmring.Ended):
            ring.next(timeout=SOON)
        self.paint().put(gray(2))
        with self.assertRaises(shmring.WriterRestarted):
            ring.next(timeout=SOON)

    def test_a_ring_taken_away_is_a_lost_writer(self):
        writer = self.paint()
        ring = self.attach(strict=True)
        writer.kill()
        self.sweep(self.project)
        with self.assertRaises(shmring.WriterLost):
            ring.next(timeout=SOON)

    def test_an_essential_reader_that_is_too_slow_is_let_go_of_with_a_reason(self):
        out = shmring.publish("sim.frames", shape=(4, 4), project=self.project, essential={"mine": "100ms"})
        self.addCleanup(out.close)
        strict = self.attach("sim.frames", strict=True, policy="sequential", reader="mine")
        silent = self.attach("sim.frames", policy="sequential", reader="mine")
        for _ in range(60):
            out.write(numpy.zeros((4, 4), numpy.uint8))
            time.sleep(0.005)
        with self.assertRaisesRegex(shmring.Evicted, "sim.frames") as told:
            strict.next(timeout=SOON)
        self.assertIn("essential", told.exception.reason)
        self.assertEqual(strict.evicted, told.exception.reason)
        self.assertGreater(silent.next(timeout=SOON).seq, 1)
        self.assertIn("essential", silent.evicted)

    def test_other_rings_go_on_in_silence(self):
        first = self.paint()
        ring = self.attach(policy="sequential")
        first.put(gray(1))
        before = ring.next(timeout=SOON)
        first.kill()
        self.paint().put(gray(2))
        self.assertLess(before.epoch, ring.next(timeout=SOON).epoch)
        self.assertIsNone(ring.next(timeout=0))
        self.assertIsNone(ring.evicted)


class Policies(RingTest):
    def test_each_nth_picture_is_taken_and_the_others_are_not_missed(self):
        writer = self.paint()
        ring = self.attach(policy="sequential", every=3)
        for number in range(1, 10):
            writer.put(gray(number))
        seen = []
        while (frame := ring.next(timeout=0)) is not None:
            seen.append(frame.seq)
        self.assertEqual([number % 3 for number in seen], [0, 0, 0])
        self.assertEqual(ring.missed, 0)

    def test_a_reader_goes_on_after_what_it_had(self):
        writer = self.paint()
        for number in range(1, 4):
            writer.put(gray(number))
        with self.attach() as ring:
            epoch = ring.epoch
        for since in [(epoch, 1), shmring.FrameId("cam1.frames", epoch, 1)]:
            with self.attach(since=since) as ring:
                self.assertEqual([ring.next(timeout=0).seq, ring.next(timeout=0).seq], [2, 3])
        with self.assertRaisesRegex(ValueError, "cam1.packets"):
            self.attach(since=("cam1.packets", epoch, 1))
        with self.assertRaisesRegex(ValueError, "sequential"):
            self.attach(since=(epoch, 1), policy="latest")

    def test_packets_go_on_too(self):
        with shmring.publish("sim.packets", codec="mjpeg", size=(64, 48), project=self.project) as out:
            for number in range(4):
                out.write(bytes([number]))
            with self.attach("sim.packets", since=(out.epoch, 2)) as ring:
                self.assertEqual([ring.next(timeout=0).seq, ring.next(timeout=0).seq], [3, 4])

    def test_the_supervisor_says_how_to_read_when_the_program_does_not(self):
        writer = self.paint()
        self.environment("FRAMEVISOR_POLICY", "sequential")
        ring = self.attach()
        for number in range(3):
            writer.put(gray(number))
        self.assertEqual([ring.next(timeout=0).seq for _ in range(3)], [1, 2, 3])
        self.assertEqual(self.attach(policy="latest").next(timeout=0).seq, 3)
        self.environment("FRAMEVISOR_POLICY", "essential 2s")
        self.assertEqual(self.attach(since=(ring.epoch, 1)).next(timeout=0).seq, 2)
        self.environment("FRAMEVISOR_POLICY", "every 2")
        self.assertEqual(self.attach().next(timeout=0).seq, 2)
        self.environment("FRAMEVISOR_POLICY", "sometimes")
        with self.assertRaisesRegex(ValueError, "FRAMEVISOR_POLICY 'sometimes'"):
            self.attach()

    def test_a_worker_is_called_as_in_its_topology(self):
        self.paint()
        self.environment("FRAMEVISOR_WORKER", "mine")
        self.attach()
        self.assertEqual(self.row()["readers"][0]["name"], "mine")

    def test_rates_are_for_frames_and_at_least_one(self):
        self.paint()
        for wrong in [{"every": 0}, {"max_fps": 0}]:
            with self.assertRaises(ValueError):
                self.attach(**wrong)
        with self.assertRaises(ValueError):
            self.attach("x.packets", every=2)

    def test_a_program_may_write_a_policy_as_a_topology_does(self):
        writer = self.paint()
        for number in range(1, 4):
            writer.put(gray(number))
        self.assertEqual(self.attach(policy="every 2").next(timeout=0).seq, 2)
        for essential in ["essential", "essential 2s"]:
            with self.attach(policy=essential) as ring:
                writer.put(gray(1))
                writer.put(gray(2))
                first = ring.next(timeout=0).seq
                self.assertEqual(ring.next(timeout=0).seq, first + 1)

    def test_a_wrong_argument_is_told_with_what_was_given_and_what_is_expected(self):
        self.paint()
        for wrong, told in [
            ({"policy": "newest"}, "policy 'newest': expected latest, sequential, every N"),
            ({"policy": "every 0"}, "policy 'every 0': expected"),
            ({"every": -1}, "every=-1: expected 1 or more"),
            ({"max_fps": 0}, "max_fps=0: expected 1 or more"),
            ({"since": (1, 1), "policy": "every 2"}, "not 'every 2'"),
        ]:
            with self.assertRaisesRegex(ValueError, told):
                self.attach(**wrong)
        for wrong in [{"policy": "every 2"}, {"max_fps": 5}]:
            with self.assertRaisesRegex(ValueError, "x.packets is read item by item"):
                self.attach("x.packets", **wrong)
        with self.assertRaisesRegex(TypeError, r"since=5: expected \(f.epoch, f.seq\)"):
            self.attach(since=5)

    def environment(self, name, value):
        os.environ[name] = value
        self.addCleanup(os.environ.pop, name, None)


class Changes(RingTest):
    def test_another_size_is_seen_in_the_frame(self):
        first = self.paint()
        ring = self.attach()
        changes = []
        for writer, picture in [(first, gray(1)), (first, gray(2))]:
            writer.put(picture)
            changes.append(ring.next(timeout=SOON).format_change)
        first.finish()
        second = self.paint(size=(64, 32))
        for _ in range(2):
            second.put(bytes(64 * 32))
            changes.append(ring.next(timeout=SOON).format_change)
        self.assertEqual(changes, [False, False, True, False])
        self.assertEqual((ring.info["width"], ring.info["height"]), (64, 32))


class Multiprocessing(RingTest):
    """Neither start method makes anybody unlink a ring or complain at the end."""

    def test_children_of_every_kind_read_and_leave_the_ring_alone(self):
        for method in ["fork", "spawn", "forkserver"]:
            with self.subTest(method):
                name = f"{method}.frames"
                writer = self.paint(ring=name)
                command = [sys.executable, __file__, method, self.project, name]
                child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                # Both processes of it are attached, then both get the same picture.
                self.assertEqual([child.stdout.readline() for _ in range(2)], ["attached\n"] * 2)
                writer.put(gray(7))
                said, complaints = child.communicate(timeout=3 * SOON)
                self.assertEqual((said, complaints, child.returncode), ("7\n7\n", "", 0))
                self.assertEqual(writer.put(gray(8)), 2)
                with self.attach(name) as ring:
                    self.assertEqual(ring.next(timeout=SOON).seq, 2)


def read(project, name):
    with shmring.attach(name, project) as ring:
        say("attached")
        say(int(ring.next(timeout=SOON).numpy()[0, 0]))


def say(what):
    """A line that no other process's line gets between."""
    os.write(1, f"{what}\n".encode())


def program(method, project, name):
    """A process that reads, and one it starts that reads too."""
    with shmring.attach(name, project, reader="parent") as ring:
        say("attached")
        child = multiprocessing.get_context(method).Process(target=read, args=(project, name))
        child.start()
        say(int(ring.next(timeout=SOON).numpy()[0, 0]))
        child.join()
    sys.exit(child.exitcode)


if __name__ == "__main__":
    program(*sys.argv[1:]) if len(sys.argv) == 4 else unittest.main()
