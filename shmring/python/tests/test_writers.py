"""Rings written from Python: pictures from arrays, filled slots, packets, metrics."""

import os
import subprocess
import sys
import threading
import unittest

import numpy
import shmring

from ringtest import SOON, RingTest, descriptors, gray


def picture(*shape, seed=0):
    return numpy.random.default_rng(seed).integers(0, 256, shape, numpy.uint8)


class WriterTest(RingTest):
    def publish(self, name="sim.frames", *arguments, **options):
        writer = shmring.publish(name, *arguments, project=self.project, **options)
        self.addCleanup(writer.close)
        return writer


class Pictures(WriterTest):
    def test_what_an_array_means_is_seen_from_its_shape(self):
        for shape, format, expected in [
            ((48, 64, 3), None, "rgb24"),
            ((48, 64, 3), "bgr24", "bgr24"),
            ((48, 64, 4), None, "rgba"),
            ((48, 64), None, "gray8"),
            ((48, 64, 1), None, "gray8"),
            ((47, 61, 3), None, "rgb24"),
        ]:
            with self.subTest(shape=shape, format=format):
                out = self.publish(f"x{expected}-{shape[0]}{len(shape)}.frames", format=format)
                sent = picture(*shape)
                self.assertEqual(out.write(sent), 1)
                with self.attach(out.name) as ring:
                    frame = ring.next(timeout=SOON)
                self.assertEqual((frame.format, frame.width, frame.height), (expected, shape[1], shape[0]))
                self.assertTrue((frame.numpy().reshape(shape) == sent).all())

    def test_planes_arrive_as_planes(self):
        for format, chroma in [("yuv420p", (24, 32)), ("yuv422p", (48, 32)), ("yuv444p", (48, 64))]:
            with self.subTest(format):
                sent = (picture(48, 64), picture(*chroma, seed=1), picture(*chroma, seed=2))
                self.same_planes(self.publish(f"{format}.frames", like=sent), sent, format)
        sent = [picture(48, 64), picture(24, 32, 2, seed=1)]
        self.same_planes(self.publish("nv12.frames", format="nv12"), sent, "nv12")

    def test_one_array_of_420_has_its_planes_below_each_other_as_in_opencv(self):
        # 50 rows: the planes of chroma begin in the middle of a row of the array.
        for format in ["yuv420p", "nv12"]:
            with self.subTest(format):
                sent = picture(75, 64)
                flat = sent.ravel()
                luma, chroma = flat[: 50 * 64].reshape(50, 64), flat[50 * 64 :]
                if format == "nv12":
                    planes = (luma, chroma.reshape(25, 64))
                else:
                    planes = (luma, chroma[: 25 * 32].reshape(25, 32), chroma[25 * 32 :].reshape(25, 32))
                self.same_planes(self.publish(f"{format}.frames", like=sent, format=format), planes, format, sent)

    def same_planes(self, out, planes, format, sent=None):
        out.write(planes if sent is None else sent)
        with self.attach(out.name) as ring:
            frame = ring.next(timeout=SOON)
        self.assertEqual(frame.format, format)
        for seen, made in zip(frame.planes, planes, strict=True):
            self.assertEqual(memoryview(seen).tobytes(), made.tobytes())

    def test_views_of_any_strides_arrive_as_they_look(self):
        whole = picture(96, 128, 3)
        out = self.publish()
        ring = self.attach(out.name)
        views = [whole[::2, ::2], whole[:48, :64, ::-1], whole[::-2, 64:], numpy.asfortranarray(whole[:48, :64])]
        for view in views:
            out.write(view)
            self.assertTrue((ring.next(timeout=SOON).numpy() == view).all())

    def test_another_size_or_type_is_refused_by_name(self):
        out = self.publish(like=picture(48, 64, 3))
        with self.assertRaisesRegex(ValueError, "sim.frames: its frames are 64x48 rgb24, this one is 32x24 rgb24"):
            out.write(picture(24, 32, 3))
        with self.assertRaisesRegex(ValueError, r"this one is f32\[48, 64, 3\]"):
            out.write(numpy.zeros((48, 64, 3), numpy.float32))
        for wrong in [numpy.zeros((48, 64, 3), complex), numpy.zeros((48, 64, 3), bool), picture(48), picture(48, 64, 2)]:
            with self.assertRaises(ValueError):
                out.write(wrong)
        with self.assertRaises((TypeError, BufferError)):
            out.write("no picture")
        self.assertEqual(out.seq, 0)

    def test_wrong_arguments_are_value_errors(self):
        like = picture(48, 64, 3)
        for wrong in [
            {"format": "rgb"}, {"fps": 0}, {"fps": float("nan")}, {"codec": "h264"}, {"like": like, "shape": (48, 64, 3)},
            {"shape": (48, 64, 5)}, {"dtype": "u64"}, {"shape": (4, 4), "dtype": "f4", "format": "gray8"},
            {"shape": (1,) * 7, "dtype": "uint8"}, {"like": like, "dtype": "float32"}, {"like": like, "format": "gray8"}, {"shape": (47, 64), "format": "yuv420p"},
        ]:
            with self.subTest(wrong), self.assertRaises(ValueError):
                self.publish(**wrong)
        with self.assertRaisesRegex(ValueError, "shmring.emit"):
            self.publish("sim.events")
        with self.assertRaisesRegex(ValueError, "FRAMEVISOR_OUT"):
            self.publish(None)

    def test_a_worker_publishes_the_ring_it_was_given(self):
        os.environ["FRAMEVISOR_OUT"] = "w.events, w.frames"
        self.addCleanup(os.environ.pop, "FRAMEVISOR_OUT")
        self.assertEqual(self.publish(None).name, "w.frames")

    def test_times_are_those_of_capture_or_the_programs_own(self):
        out = self.publish(like=picture(48, 64), fps=25)
        ring = self.attach(out.name, policy="sequential")
        out.write(picture(48, 64))
        out.write(picture(48, 64), pts=2.5, time=1.8e9)
        first, second = ring.next(timeout=SOON), ring.next(timeout=SOON)
        self.assertEqual((first.pts, first.duration), (0.0, 0.04))
        self.assertLess(first.age_ms, 1000 * SOON)
        self.assertEqual((second.pts, second.time), (2.5, 1.8e9))

    def test_a_picture_made_from_another_keeps_its_instant_and_its_identity(self):
        seen = self.one(gray(7))
        out = self.publish("overlay.frames", source="cam1.frames")
        out.write(seen.rgb(), at=seen)
        made = self.attach(out.name).next(timeout=SOON)
        self.assertEqual((made.id, made.time, made.pts), (seen.id, seen.time, seen.pts))
        self.assertEqual(out.info["name"], "overlay.frames")

    def test_a_program_started_again_is_a_new_epoch_to_its_readers(self):
        with self.publish() as out:
            out.write(picture(48, 64, 3))
            ring = self.attach(out.name)
            first = ring.next(timeout=SOON)
        with self.assertRaises(shmring.Closed):
            out.write(picture(48, 64, 3))
        again = self.publish()
        again.write(picture(24, 32))
        second = ring.next(timeout=SOON)
        self.assertGreater(second.epoch, first.epoch)
        self.assertEqual(second.numpy().shape, (24, 32))

    def test_a_ring_has_one_writer(self):
        self.publish()
        with self.assertRaises(shmring.HasWriter):
            self.publish()

    def test_other_threads_run_while_a_ring_is_waited_for_that_has_a_writer(self):
        program = (
            "import shmring, sys\n"
            f"of = dict(project='{self.project}')\n"
            "rings = shmring.publish('x.packets', codec='mjpeg', size=(1, 1), **of), shmring.emit('x.events', 'k', 1, **of)\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n"
        )
        holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.communicate)
        self.assertEqual(holder.stdout.readline(), b"ready\n")
        for waits in (
            lambda: self.publish("x.packets", codec="mjpeg", size=(1, 1)),
            lambda: shmring.emit("x.events", "k", 1, project=self.project),
        ):
            rounds, over = 0, threading.Event()

            def count():
                nonlocal rounds
                while not over.wait(0.005):
                    rounds += 1

            other = threading.Thread(target=count)
            other.start()
            with self.assertRaises(shmring.HasWriter):
                waits()
            over.set()
            other.join()
            # A quarter of a second is waited for a writer on its way out.
            self.assertGreater(rounds, 5)

    def test_threads_that_emit_for_the_first_time_at_once_share_the_ring(self):
        numbers, begin = [], threading.Barrier(8)

        def first():
            begin.wait()
            numbers.append(shmring.emit("x.events", "k", 1, project=self.project))

        threads = [threading.Thread(target=first) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(numbers), list(range(1, 9)))

    def test_the_interpreters_end_tells_readers_that_nothing_follows(self):
        program = "import numpy, shmring, sys; out = shmring.publish('sim.frames', project=sys.argv[1]); "
        program += "out.write(numpy.zeros((4, 4), numpy.uint8)); print('written', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", program, self.project]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        ring = self.attach("sim.frames")
        self.assertTrue(ring.live)
        child.communicate(timeout=SOON)
        self.assertFalse(ring.live)
        self.assertEqual(child.returncode, 0)


class Slots(WriterTest):
    def test_a_filled_slot_is_published_at_the_end_of_its_block(self):
        out = self.publish(shape=(48, 64, 3))
        ring = self.attach(out.name)
        sent = picture(48, 64, 3)
        with out.slot(pts=1.5) as array:
            self.assertEqual(array.shape, (48, 64, 3))
            array[:] = sent
            self.assertIsNone(ring.next(timeout=0))
        frame = ring.next(timeout=SOON)
        self.assertTrue((frame.numpy() == sent).all())
        self.assertEqual((out.seq, frame.seq, frame.pts), (1, 1, 1.5))

    def test_a_planar_slot_is_a_tuple_of_planes(self):
        out = self.publish(shape=(75, 64), format="yuv420p")
        with out.slot() as planes:
            self.assertEqual([plane.shape for plane in planes], [(50, 64), (25, 32), (25, 32)])
            for value, plane in enumerate(planes):
                plane[:] = value
        frame = self.attach(out.name).next(timeout=SOON)
        self.assertEqual([int(numpy.asarray(plane).max()) for plane in frame.planes], [0, 1, 2])

    def test_a_view_that_is_kept_changes_no_published_picture(self):
        out = self.publish(shape=(48, 64))
        with out.slot() as array:
            array[:] = 7
            part, view = array[3:], memoryview(array)
        frame = self.attach(out.name).next(timeout=SOON)
        self.assertTrue((array == 0).all() and (part == 0).all())
        array[:], part[:], view[0, 0] = 9, 9, 9
        self.assertTrue((frame.numpy() == 7).all())

    def test_an_exception_gives_the_slot_back_unpublished(self):
        out = self.publish(shape=(48, 64))
        kept = []
        for _ in range(100):
            with self.assertRaises(ZeroDivisionError), out.slot() as array:
                kept.append(array)
                1 / 0
        self.assertEqual(out.seq, 0)
        out.write(picture(48, 64))

    def test_a_slot_that_is_never_entered_is_given_back(self):
        out = self.publish(shape=(48, 64))
        for _ in range(100):
            out.slot()
        self.assertEqual(out.write(picture(48, 64)), 1)

    def test_more_slots_than_there_are_is_told(self):
        out = self.publish(shape=(48, 64))
        with self.assertRaises(shmring.NoFreeSlot):
            held = [out.slot() for _ in range(100)]
        with self.assertRaisesRegex(ValueError, "shape="):
            self.publish("other.frames").slot()

    def test_a_forked_child_changes_nothing_of_its_parents_ring(self):
        out = self.publish(shape=(48, 64))
        with out.slot() as array:
            array[:] = 7
            pid = os.fork()
            if pid == 0:
                array[:] = 9
                refused = 0
                for attempt in [lambda: out.write(picture(48, 64)), out.slot, lambda: out.metric(a=1)]:
                    try:
                        attempt()
                    except shmring.Forked:
                        refused += 1
                out.close()
                os._exit(refused)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 3)
            self.assertTrue((array == 7).all())
        ring = self.attach(out.name)
        self.assertTrue((ring.next(timeout=SOON).numpy() == 7).all() and ring.live)


class Metrics(WriterTest):
    def test_a_metric_names_the_newest_picture_and_its_camera(self):
        self.addCleanup(self.forget_own_events)
        os.environ["FRAMEVISOR_OUT"] = "w.events"
        out = self.publish()
        out.write(picture(48, 64))
        out.metric(loss=0.5, step=3)
        out.emit("note", {"text": "so far"})
        ring = self.attach("w.events", policy="sequential")
        first, second = ring.next(timeout=SOON), ring.next(timeout=SOON)
        self.assertEqual((first.kind, first.data, first.camera), ("metric", {"loss": 0.5, "step": 3}, "sim"))
        self.assertEqual(first.frame, ("sim.frames", out.epoch, 1))
        self.assertEqual((second.kind, second.data), ("note", {"text": "so far"}))

    @staticmethod
    def forget_own_events():
        os.environ.pop("FRAMEVISOR_OUT")


class Packets(WriterTest):
    def test_packets_arrive_with_what_was_said_of_them(self):
        out = self.publish("sim.packets", codec="h264", size=(64, 48), fps=25, extradata=b"\0\0\0\1g")
        ring = self.attach(out.name, policy="sequential")
        out.write(b"key", key=True, pts=1.0)
        out.write(bytearray(b"delta"), key=False, pts=1.08, dts=1.04)
        first, second = ring.next(timeout=SOON), ring.next(timeout=SOON)
        self.assertEqual((first.data, first.key, first.pts, first.dts), (b"key", True, 1.0, 1.0))
        self.assertEqual((second.data, second.key, second.pts, second.dts), (b"delta", False, 1.08, 1.04))
        row = self.row(out.name)
        self.assertEqual((row["width"], row["height"], out.seq), (64, 48, 2))

    def test_what_was_read_says_which_packet_it_is(self):
        out = self.publish("sim.packets", codec="vp9", size=(64, 48))
        out.write(b"one", key=True)
        read = self.attach("sim.packets", policy="sequential").next(timeout=SOON)
        self.assertEqual(read.id, ("sim.packets", out.epoch, 1))
        self.assertEqual(read.id.ring, "sim.packets")

    def test_what_no_reader_could_use_is_refused_with_what_is_expected(self):
        for wrong, expected in [
            ({"readers": 0}, "readers=0: expected 1 or more"),
            ({"essential": {"mine": "2h"}}, "mine may be behind by 2h; expected 100ms to 1m"),
            ({"essential": {"mine": 0.05}}, "expected 100ms to 1m"),
        ]:
            with self.assertRaisesRegex(ValueError, expected):
                self.publish("y.packets", codec="h264", size=(64, 48), **wrong)
        for codec in ["vp8", "mpeg4", "opus", "aac", "nothing"]:
            with self.assertRaisesRegex(ValueError, f"codec '{codec}': expected one of h264, h265, av1"):
                self.publish("y.packets", codec=codec, size=(64, 48))

    def test_what_cannot_be_guessed_must_be_said(self):
        out = self.publish("sim.packets", codec="h264", size=(64, 48))
        with self.assertRaisesRegex(ValueError, "key"):
            out.write(b"x")
        self.assertEqual(self.publish("m.packets", codec="mjpeg", size=(64, 48)).write(b"x"), 1)
        for wrong in [{}, {"codec": "h266"}, {"codec": "h264"}, {"codec": "opus", "size": (1, 1)}, {"codec": "opus", "shape": (4, 4)}]:
            with self.subTest(wrong), self.assertRaises(ValueError):
                self.publish("y.packets", **wrong)

    def test_a_restart_goes_on_with_higher_groups(self):
        groups = []
        for _ in range(2):
            with self.publish("sim.packets", codec="mjpeg", size=(64, 48)) as out:
                out.write(b"x")
                groups.append(self.row(out.name)["gop_index"])
        self.assertGreater(groups[1], groups[0])


class Leaks(WriterTest):
    def test_memory_and_descriptors_stay_as_they_are_over_ten_thousand_pictures(self):
        out = self.publish(shape=(48, 64, 3))
        ring = self.attach(out.name)
        sent = picture(48, 64, 3)

        def turn(count):
            for number in range(count):
                if number % 2:
                    out.write(sent)
                else:
                    with out.slot() as array:
                        array[:] = sent
                with ring.next(timeout=SOON) as frame:
                    frame.numpy()[1:].mean(), frame.rgb(), frame.planes

        turn(1000)
        before = footprint()
        turn(10_000)
        after = footprint()
        self.assertEqual(after[:2], before[:2])
        self.assertLess(after[2] - before[2], 2 << 20)


def footprint():
    """Descriptors, mapped ring files, bytes of resident private memory."""
    with open("/proc/self/maps") as maps:
        mapped = sum("/dev/shm/fv." in line for line in maps)
    with open("/proc/self/statm") as statm:
        resident, shared = map(int, statm.read().split()[1:3])
    return descriptors(), mapped, (resident - shared) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    unittest.main()
