"""The module's promises, each a test. Run by tests/python.rs, which sets PYTHONPATH to the module and
SHMRING_EXAMPLES to the folder of the programs `paint` and `post`."""

import ast
import contextlib
import glob
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import types
import unittest

import numpy
import shmring

EXAMPLES = os.environ["SHMRING_EXAMPLES"]
STUBS = os.path.join(os.path.dirname(__file__), "..", "shmring.pyi")
SOON = 10.0
WIDTH, HEIGHT = 100, 50


def until(condition):
    """Waits for `condition` to hold; fails at the deadline."""
    deadline = time.monotonic() + SOON
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {SOON} s")
        time.sleep(0.005)


class Writer:
    """A program that writes a ring: `paint` pictures, `post` lines."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            [os.path.join(EXAMPLES, program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"ready\n"

    def put(self, item):
        """Publishes `item`; gives its number."""
        self.process.stdin.write(item)
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def finish(self):
        self.process.stdin.close()
        self.process.wait(SOON)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.finish()


def gray(value):
    return bytes([value % 256]) * (WIDTH * HEIGHT)


class RingTest(unittest.TestCase):
    """Gives every test a project of its own, whose files are gone afterwards."""

    numbers = itertools.count()

    def setUp(self):
        self.project = f"py{os.getpid()}-{next(self.numbers)}"
        self.addCleanup(self.sweep, self.project)

    @staticmethod
    def sweep(project):
        for file in glob.glob(f"/dev/shm/fv.{project}.*"):
            os.unlink(file)

    def paint(self, format="gray8", size=(WIDTH, HEIGHT), colour=(), ring="cam1.frames"):
        writer = Writer("paint", self.project, ring, f"{size[0]}x{size[1]}", format, *colour)
        self.addCleanup(writer.finish)
        return writer

    def attach(self, name="cam1.frames", **options):
        ring = shmring.attach(name, self.project, **options)
        self.addCleanup(ring.close)
        return ring

    def one(self, picture, ring="cam1.frames", **options):
        """A frame that shows `picture`."""
        writer = self.paint(ring=ring, **options)
        ring = self.attach(ring)
        writer.put(picture)
        return ring.next(timeout=SOON)

    def row(self, name="cam1.frames"):
        return next(row for row in shmring.rings(self.project) if row["name"] == name)

    def leases(self):
        return sum(reader["leases"] for reader in self.row()["readers"])


class Views(RingTest):
    def test_an_array_lies_in_the_rings_mapping(self):
        array = self.one(gray(7)).numpy()
        address = array.__array_interface__["data"][0]
        with open("/proc/self/maps") as maps:
            mine = [line.split() for line in maps if f"/dev/shm/fv.{self.project}.cam1.frames.e" in line]
        spans = [[int(end, 16) for end in line[0].split("-")] for line in mine if line[5].endswith(".g1")]
        self.assertTrue(any(low <= address and address + array.nbytes <= high for low, high in spans))
        self.assertTrue(all(line[1] == "r--s" for line in mine), "pictures are mapped read-only")

    def test_an_array_cannot_be_written(self):
        frame = self.one(gray(7))
        for array in [frame.numpy(), *map(numpy.asarray, frame.planes)]:
            with self.assertRaises(ValueError):
                array[0, 0] = 1
            with self.assertRaises(ValueError):
                array.setflags(write=True)
        with self.assertRaises(TypeError):
            memoryview(frame.planes[0])[0, 0] = 1
        with self.assertRaises((TypeError, BufferError)), open("/dev/zero", "rb") as zeros:
            zeros.readinto(frame.planes[0])

    def test_planes_are_strided_views_of_the_visible_part(self):
        sizes = {
            "yuv420p": [(50, 100), (25, 50), (25, 50)],
            "yuv422p": [(50, 100), (50, 50), (50, 50)],
            "yuv444p": [(50, 100)] * 3,
            "nv12": [(50, 100), (25, 100)],
            "gray8": [(50, 100)],
            "rgb24": [(50, 300)],
            "bgr24": [(50, 300)],
            "rgba": [(50, 400)],
        }
        for format, shapes in sizes.items():
            with self.subTest(format):
                planes = [numpy.arange(w * h, dtype=numpy.uint32).astype(numpy.uint8) for h, w in shapes]
                ring = f"{format}.frames"
                writer = self.paint(format, ring=ring)
                with self.attach(ring) as attached:
                    writer.put(b"".join(plane.tobytes() for plane in planes))
                    frame = attached.next(timeout=SOON)
                self.assertEqual([plane.shape for plane in frame.planes], shapes)
                for plane, made in zip(frame.planes, planes):
                    self.assertEqual(memoryview(plane).tobytes(), made.tobytes())
                    self.assertTrue((numpy.asarray(plane) == made.reshape(plane.shape)).all())
                self.assertEqual((frame.width, frame.height, frame.format), (WIDTH, HEIGHT, format))

    def test_a_packed_picture_has_its_channels_last(self):
        picture = numpy.arange(HEIGHT * WIDTH * 3, dtype=numpy.uint32).astype(numpy.uint8)
        array = self.one(picture.tobytes(), format="bgr24").numpy()
        self.assertEqual(array.shape, (HEIGHT, WIDTH, 3))
        self.assertTrue((array == picture.reshape(array.shape)).all())

    def test_padded_rows_are_refused_to_who_needs_them_together(self):
        plane = self.one(gray(7)).planes[0]
        self.assertFalse(memoryview(plane).c_contiguous)
        with self.assertRaises(BufferError):
            hashlib.sha256(plane)
        tight = self.one(bytes(64 * 4), "cam2.frames", size=(64, 4)).planes[0]
        self.assertEqual(hashlib.sha256(tight).digest(), hashlib.sha256(bytes(64 * 4)).digest())

    def test_a_hundred_arrays_equal_what_ffmpeg_decodes(self):
        size = (320, 192)
        clip = ["-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}:rate=25", "-frames:v", "100"]
        coded = ffmpeg(*clip, "-c:v", "mpeg4", "-q:v", "3", "-f", "matroska", "-")
        decoded = ffmpeg("-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-", input=coded)
        bytes_each = size[0] * size[1] * 3 // 2
        pictures = [decoded[at : at + bytes_each] for at in range(0, len(decoded), bytes_each)]
        self.assertEqual(len(pictures), 100)
        writer = self.paint("yuv420p", size)
        ring = self.attach()
        for picture in pictures:
            writer.put(picture)
            seen = hashlib.sha256()
            with ring.next(timeout=SOON) as frame:
                for plane in frame.planes:
                    seen.update(numpy.asarray(plane).tobytes())
            self.assertEqual(seen.digest(), hashlib.sha256(picture).digest())

    def test_rgb_equals_ffmpegs(self):
        size = (320, 240)
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}", "-frames:v", "1"]
        matrices, ranges = [("bt709", 1), ("bt601", 6)], [("tv", 1), ("pc", 2)]
        formats = ["yuv420p", "yuv422p", "yuv444p", "nv12"]
        for format, (matrix, matrix_code), (range, range_code) in itertools.product(formats, matrices, ranges):
            with self.subTest(format=format, matrix=matrix, range=range):
                picture = ffmpeg(*source, "-f", "rawvideo", "-pix_fmt", format, "-")
                # Chroma repeated, not smoothed: what `rgb` promises.
                scale = f"scale=in_color_matrix={matrix}:in_range={range}:out_range=pc"
                scale += ":flags=neighbor+accurate_rnd+full_chroma_int"
                raw = ["-f", "rawvideo", "-pix_fmt", format, "-s", f"{size[0]}x{size[1]}", "-i", "-"]
                theirs = ffmpeg(*raw, "-vf", scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-", input=picture)
                ring = f"{format}.{matrix}-{range}.frames"
                writer = self.paint(format, size, (range_code, matrix_code), ring)
                with self.attach(ring) as attached:
                    writer.put(picture)
                    ours = attached.next(timeout=SOON).rgb()
                theirs = numpy.frombuffer(theirs, numpy.uint8).reshape(ours.shape)
                self.assertLessEqual(numpy.abs(ours.astype(int) - theirs).max(), 2)
                ours[0, 0] = 1  # a copy is the program's own


class Leases(RingTest):
    def test_a_picture_does_not_change_while_its_last_view_lives(self):
        writer = self.paint()
        ring = self.attach()
        writer.put(gray(7))
        corner = ring.next(timeout=SOON).numpy()[10:20, 5:][::2]
        for number in range(200):
            writer.put(gray(number))
        self.assertTrue((corner == 7).all())
        self.assertEqual(self.leases(), 1)
        del corner
        self.assertEqual(self.leases(), 0)

    def test_a_released_frame_keeps_its_facts_and_its_views(self):
        frame = self.one(gray(7))
        view = frame.numpy()
        frame.release()
        self.assertEqual((frame.seq, self.leases()), (1, 1))
        with self.assertRaises(shmring.Closed):
            frame.numpy()
        del view
        self.assertEqual(self.leases(), 0)

    def test_a_frame_outlives_its_closed_ring(self):
        writer = self.paint()
        with self.attach() as ring:
            writer.put(gray(7))
            frame = ring.next(timeout=SOON)
        for number in range(200):
            writer.put(gray(number))
        self.assertTrue((frame.numpy() == 7).all())

    def test_holding_more_frames_than_a_reader_may_is_told(self):
        writer = self.paint()
        ring = self.attach()
        held = []
        for number in range(2):
            writer.put(gray(number))
            held.append(ring.next(timeout=SOON))
        writer.put(gray(3))
        with self.assertRaisesRegex(shmring.NoLease, "all 2 leases"):
            ring.next(timeout=SOON)
        held.pop()
        self.assertEqual(ring.next(timeout=SOON).seq, 3)

    def test_a_plain_loop_never_holds_too_many(self):
        writer = self.paint()
        ring = self.attach(policy="sequential")
        means = []
        for number in range(5):
            writer.put(gray(number))
            frame = next(ring)
            image = frame.numpy()
            means.append(int(image.mean()))
        self.assertEqual(means, [0, 1, 2, 3, 4])

    def test_when_all_places_are_taken_the_readers_are_named(self):
        self.paint()
        for number in range(4):
            self.attach(reader=f"reader{number}")
        with self.assertRaisesRegex(shmring.NoPlace, "reader0.*reader3"):
            self.attach()


class Waiting(RingTest):
    def test_a_wait_without_news_gives_none(self):
        self.paint()
        ring = self.attach()
        began = time.monotonic()
        self.assertIsNone(ring.next(timeout=0.25))
        self.assertGreaterEqual(time.monotonic() - began, 0.25)
        self.assertIsNone(ring.next(timeout=0))

    def test_other_threads_run_while_one_waits(self):
        writer = self.paint()
        ring = self.attach()
        got = []
        thread = threading.Thread(target=lambda: got.append(next(ring)))
        thread.start()
        writer.put(gray(7))
        thread.join(SOON)
        self.assertEqual([frame.seq for frame in got], [1])

    def test_ctrl_c_ends_a_wait(self):
        self.paint()
        program = f"import shmring; shmring.attach('cam1.frames', '{self.project}').next()"
        child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
        until(lambda: self.row()["readers"])
        child.send_signal(signal.SIGINT)
        _, text = child.communicate(timeout=SOON)
        self.assertIn(b"KeyboardInterrupt", text)

    def test_latest_skips_and_sequential_tells_what_it_missed(self):
        writer = self.paint()
        latest, sequential = self.attach(), self.attach(policy="sequential")
        total = 300
        for number in range(total):
            writer.put(gray(number))
        self.assertEqual(sequential.lag, total)
        self.assertEqual(latest.next(timeout=0).seq, total)
        self.assertIsNone(latest.next(timeout=0))
        seen = []
        while frame := sequential.next(timeout=0):
            seen.append((frame.seq, frame.missed))
        del frame
        self.assertEqual(len(seen) + sequential.missed, total)
        self.assertEqual(sum(missed for _, missed in seen), sequential.missed)
        self.assertEqual((latest.missed, sequential.lag), (0, 0))

    def test_a_killed_writer_is_followed_to_its_successor(self):
        first = self.paint()
        ring = self.attach()
        first.put(gray(1))
        held = ring.next(timeout=SOON)
        first.kill()
        self.assertFalse(ring.live)
        second = self.paint()
        second.put(gray(2))
        frame = ring.next(timeout=SOON)
        self.assertGreater(frame.epoch, held.epoch)
        self.assertEqual((ring.epoch, ring.live), (frame.epoch, True))
        self.assertEqual((int(held.numpy()[0, 0]), int(frame.numpy()[0, 0])), (1, 2))

    def test_a_size_change_is_followed(self):
        first = self.paint()
        ring = self.attach()
        first.put(gray(1))
        self.assertEqual(ring.next(timeout=SOON).numpy().shape, (HEIGHT, WIDTH))
        first.finish()
        self.paint(size=(640, 480)).put(bytes(640 * 480))
        self.assertEqual(ring.next(timeout=SOON).numpy().shape, (480, 640))

    def test_a_ring_taken_down_and_brought_up_is_followed(self):
        first = self.paint()
        ring = self.attach()
        first.finish()
        self.assertIsNone(ring.next(timeout=0.05), "the end of a writer is no end of the ring")
        self.sweep(self.project)
        self.assertIsNone(ring.next(timeout=0.05))
        self.paint().put(gray(2))
        self.assertEqual(int(ring.next(timeout=SOON).numpy()[0, 0]), 2)

    def test_a_closed_ring_says_so(self):
        self.paint()
        with self.attach() as ring:
            pass
        with self.assertRaises(shmring.Closed):
            ring.next(timeout=0)
        self.assertEqual(self.row()["readers"], [])


class Forks(RingTest):
    @contextlib.contextmanager
    def child(self, work):
        """A forked child that runs `work` and lives until the block ends; its answer must be good."""
        go, going = os.pipe()
        answer, answering = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(going)
            try:
                os.write(answering, work().encode())
            except BaseException as error:
                os.write(answering, repr(error).encode())
            os.read(go, 1)
            os._exit(0)
        os.close(go)
        os.close(answering)
        try:
            yield os.read(answer, 4096).decode()
        finally:
            os.close(going)
            os.close(answer)
            os.waitpid(pid, 0)

    def test_a_forked_child_is_refused_and_ends_no_lease_of_its_parent(self):
        writer = self.paint()
        ring = self.attach()
        writer.put(gray(7))
        held = [ring.next(timeout=SOON)]
        views = [held[0].numpy()]

        def work():
            for attempt in [ring.next, held[0].numpy, held[0].rgb, lambda: held[0].planes, lambda: ring.lag]:
                with self.assertRaises(shmring.Forked):
                    attempt()
            inherited = int(views[0][0, 0])
            views.clear()
            held.clear()
            ring.close()
            return f"sees {inherited}"

        with self.child(work) as answer:
            self.assertEqual(answer, "sees 7")
            for number in range(200):
                writer.put(gray(number))
            self.assertTrue((views[0] == 7).all())
            self.assertEqual(self.leases(), 1)

    def test_a_forked_child_does_not_keep_its_parents_place_or_ring(self):
        self.paint()
        ring = self.attach()
        program = f"""if True:
            import os, shmring
            ring = shmring.attach("cam1.frames", "{self.project}", reader="parent")
            shmring.emit("w.events", "test", 1, project="{self.project}")
            if os.fork() == 0:
                os.read(0, 1)
                os._exit(0)
            os._exit(0)
        """
        parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        parent.wait(SOON)
        until(lambda: len(self.row()["readers"]) == 1)
        self.assertFalse(self.row("w.events")["live"])
        parent.stdin.close()
        ring.close()

    def test_a_forked_child_attaches_anew(self):
        writer = self.paint()
        ring = self.attach()
        writer.put(gray(9))

        def work():
            with shmring.attach("cam1.frames", self.project) as own:
                return str(int(own.next(timeout=SOON).numpy()[0, 0]))

        with self.child(work) as answer:
            self.assertEqual(answer, "9")
        self.assertEqual(ring.next(timeout=SOON).seq, 1)


class Names(RingTest):
    def test_a_ring_is_found_by_its_name_alone(self):
        ring = f"only{os.getpid()}.frames"
        self.paint(ring=ring)
        with without_project(), shmring.attach(ring) as attached:
            self.assertEqual((attached.project, attached.name), (self.project, ring))

    def test_several_projects_with_such_a_ring_are_named(self):
        ring = f"twice{os.getpid()}.frames"
        first = self.project
        self.paint(ring=ring)
        self.setUp()
        self.paint(ring=ring)
        with without_project(), self.assertRaisesRegex(shmring.Ambiguous, f"{first}.*{self.project}"):
            shmring.attach(ring)
        os.environ["FRAMEVISOR_PROJECT"] = first
        self.addCleanup(os.environ.pop, "FRAMEVISOR_PROJECT")
        with shmring.attach(ring) as attached:
            self.assertEqual(attached.project, first)

    def test_an_unknown_ring_is_an_error_that_lists_those_there_are(self):
        self.paint()
        with without_project(), self.assertRaisesRegex(shmring.NoSuchRing, f"cam1.frames of {self.project}"):
            shmring.attach(f"none{os.getpid()}.frames")
        with self.assertRaises(shmring.NoSuchRing):
            self.attach("none.frames")

    def test_a_wrong_argument_is_a_value_error(self):
        self.paint()
        for wrong in [{"policy": "every"}, {"max_fps": 0}, {"project": "../x"}]:
            with self.assertRaises(ValueError):
                shmring.attach("cam1.frames", **({"project": self.project} | wrong))
        with self.assertRaises(ValueError):
            shmring.attach("cam1", self.project)
        with self.assertRaises(ValueError):
            self.attach().next(timeout=-1)

    def test_the_census_shows_the_ring_and_its_readers(self):
        writer = self.paint()
        ring = self.attach(reader="me")
        writer.put(gray(7))
        row = self.row()
        self.assertEqual((row["project"], row["kind"], row["head"]), (self.project, "frames", 1))
        self.assertEqual([(reader["name"], reader["lag"]) for reader in row["readers"]], [("me", 1)])
        self.assertEqual((ring.info["width"], ring.info["source"]), (WIDTH, None))

    def test_a_reader_is_called_as_its_script(self):
        self.paint()
        self.attach()
        self.assertEqual(self.row()["readers"][0]["name"], os.path.basename(sys.argv[0]))


class Packets(RingTest):
    def post(self):
        writer = Writer("post", self.project, "cam1.packets")
        self.addCleanup(writer.finish)
        return writer

    def test_packets_arrive_in_order(self):
        writer = self.post()
        ring = self.attach("cam1.packets", policy="sequential")
        self.assertIsInstance(ring, shmring.PacketRing)
        for line in [b"one\n", b"two\n"]:
            writer.put(line)
        first, second = next(ring), next(ring)
        self.assertEqual((first.data, first.seq, first.key), (b"one", 1, True))
        self.assertEqual((second.data, second.missed, ring.lag), (b"two", 0, 0))

    def test_the_policy_latest_begins_at_the_newest_key_packet(self):
        writer = self.post()
        for line in [b"one\n", b"two\n"]:
            writer.put(line)
        self.assertEqual(next(self.attach("cam1.packets")).data, b"two")


class Records(RingTest):
    def test_a_record_names_the_picture_it_is_about(self):
        frame = self.one(gray(7))
        said = {"box": [1, 2, 3.5], "label": "cat"}
        shmring.emit("w.events", "detection", said, at=frame)
        ring = self.attach("w.events", policy="sequential")
        self.assertIsInstance(ring, shmring.RecordRing)
        record = ring.next(timeout=SOON)
        self.assertEqual((record.kind, record.data, record.camera), ("detection", said, "cam1"))
        self.assertEqual(record.frame, frame.id)
        self.assertEqual(record.frame, ("cam1.frames", frame.epoch, frame.seq))
        self.assertAlmostEqual(record.time, frame.time)

    def test_records_have_ids_of_their_own_or_the_given_one(self):
        for id in [None, None, "thing"]:
            shmring.emit("w.events", "test", None, id=id, camera="cam9", project=self.project)
        ring = self.attach("w.events", policy="sequential")
        records = [ring.next(timeout=SOON) for _ in range(3)]
        self.assertEqual(len({record.id for record in records}), 3)
        self.assertEqual((records[2].id, records[2].camera), ("thing", "cam9"))

    def test_a_worker_emits_into_the_ring_it_was_given(self):
        self.paint()
        ring = self.attach()
        os.environ["FRAMEVISOR_OUT"] = "w.frames, w.events"
        self.addCleanup(os.environ.pop, "FRAMEVISOR_OUT")
        self.assertEqual(shmring.emit(ring, "test", 1), 1)
        self.assertTrue(self.row("w.events")["live"])

    def test_another_program_emits_into_a_ring_called_as_its_script(self):
        shmring.emit(None, "test", 1, at=self.one(gray(7)))
        names = [row["name"] for row in shmring.rings(self.project)]
        self.assertTrue(any(name.startswith("ext.") and name.endswith(".events") for name in names), names)

    def test_a_second_writer_is_refused(self):
        program = f"import shmring; shmring.emit('w.events', 'test', 1, project='{self.project}')"
        shmring.emit("w.events", "test", 1, project=self.project)
        child = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, timeout=SOON)
        self.assertIn(b"shmring.HasWriter", child.stderr)

    def test_a_payload_that_is_no_record_is_told_and_passed(self):
        writer = Writer("post", self.project, "w.events")
        self.addCleanup(writer.finish)
        ring = self.attach("w.events")
        writer.put(b"{}\n")
        writer.put(b'{"id": "1", "type": "test", "camera": "", "frame": null, "time_utc_ns": 5, "data": 2}\n')
        with self.assertRaises(shmring.BadRecord):
            ring.next(timeout=SOON)
        self.assertEqual(ring.next(timeout=SOON).data, 2)

    def test_only_event_rings_take_records(self):
        with self.assertRaises(ValueError):
            shmring.emit("cam1.frames", "test", 1, project=self.project)


class Stubs(unittest.TestCase):
    def test_the_stubs_name_what_the_module_has(self):
        with open(STUBS) as file:
            stubs = ast.parse(file.read()).body
        definitions = (ast.ClassDef, ast.FunctionDef)
        named = {node.name: node for node in stubs if isinstance(node, definitions)}
        public = {name for name, value in vars(shmring).items() if not isinstance(value, types.ModuleType)}
        public = visible(public)
        self.assertEqual(set(named), public)
        own = {name: kind for name, kind in vars(shmring).items() if isinstance(kind, type)}
        for name in ["Frame", "Packet", "Plane", "Record", "Ring"]:
            with self.subTest(name):
                members = {node.name for node in named[name].body if isinstance(node, ast.FunctionDef)}
                self.assertEqual(visible(members), visible(vars(own[name])))


def visible(names):
    return {name for name in names if not name.startswith("_")}


def ffmpeg(*arguments, input=b""):
    command = ["ffmpeg", "-v", "error", *arguments]
    return subprocess.run(command, input=input, stdout=subprocess.PIPE, check=True).stdout


@contextlib.contextmanager
def without_project():
    given = os.environ.pop("FRAMEVISOR_PROJECT", None)
    try:
        yield
    finally:
        if given is not None:
            os.environ["FRAMEVISOR_PROJECT"] = given


if __name__ == "__main__":
    unittest.main()
