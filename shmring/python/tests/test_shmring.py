"""Rings of every kind: finding, waiting, following, writing records."""

import ast
import contextlib
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
import types
import unittest

import shmring

from ringtest import HEIGHT, SOON, WIDTH, RingTest, Writer, gray, until

STUBS = os.path.join(os.path.dirname(__file__), "..", "shmring", "__init__.pyi")


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
        # A program started in the background of a shell ignores Ctrl-C unless it says otherwise.
        program = "import shmring, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        program += f"shmring.attach('cam1.frames', '{self.project}').next()"
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
        second = self.paint()
        second.put(gray(2))
        held = ring.next(timeout=SOON).numpy()
        for number in range(200):
            second.put(gray(number))
        self.assertTrue((held == 2).all(), "the new writer knows of the lease")

    def test_a_closed_ring_says_so(self):
        self.paint()
        with self.attach() as ring:
            pass
        with self.assertRaises(shmring.Closed):
            ring.next(timeout=0)
        self.assertEqual(self.row()["readers"], [])


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
        with without_project(), self.assertRaisesRegex(shmring.Ambiguous, ".*".join(sorted([first, self.project]))):
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

    def test_a_ring_that_its_project_does_not_have_is_an_error_that_lists_those_it_has(self):
        self.paint()
        with self.assertRaisesRegex(shmring.NoSuchRing, f"project {self.project} has no such ring.*cam1.frames"):
            self.attach("none.frames")

    def test_who_wants_to_hold_more_takes_more_places(self):
        writer = self.paint()
        ring = self.attach(hold=5)
        held = []
        for number in range(5):
            writer.put(gray(number))
            held.append(ring.next(timeout=SOON))
        writer.put(gray(9))
        with self.assertRaisesRegex(shmring.NoLease, "all 5 leases"):
            ring.next(timeout=0)
        self.assertEqual([frame.numpy()[0, 0] for frame in held], [0, 1, 2, 3, 4])
        self.assertEqual(len(self.row()["readers"]), 3)
        with self.assertRaises(shmring.NoPlace):
            self.attach(hold=1000)
        self.assertEqual(len(self.row()["readers"]), 3, "what it had claimed is free again")
        with self.assertRaisesRegex(ValueError, "hold=0"):
            self.attach(hold=0)

    def test_an_absent_ring_is_waited_for(self):
        attached = []
        thread = threading.Thread(target=lambda: attached.append(self.attach(wait=SOON)))
        thread.start()
        self.paint()
        thread.join(SOON)
        self.assertEqual([ring.name for ring in attached], ["cam1.frames"])
        with self.assertRaises(shmring.NoSuchRing):
            self.attach("none.frames", wait=0.05)

    def test_a_worker_waits_for_its_ring_without_being_told_to(self):
        os.environ["FRAMEVISOR_WORKER"] = "mine"
        self.addCleanup(os.environ.pop, "FRAMEVISOR_WORKER")
        attached = []
        thread = threading.Thread(target=lambda: attached.append(self.attach()))
        thread.start()
        self.paint()
        thread.join(SOON)
        self.assertEqual([ring.name for ring in attached], ["cam1.frames"])

    def test_a_wrong_argument_is_a_value_error(self):
        self.paint()
        for wrong in [{"policy": "every"}, {"max_fps": 0}, {"project": "../x"}, {"wait": -1}]:
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

    def test_a_payload_that_is_no_record_is_passed_over_and_counted_or_told_to_who_wants_it(self):
        writer = Writer("post", self.project, "w.events")
        self.addCleanup(writer.finish)
        ring, strict = self.attach("w.events"), self.attach("w.events", strict=True, reader="strict")
        writer.put(b"{}\n")
        writer.put(b'{"id": "1", "type": "test", "camera": "", "frame": null, "time_utc_ns": 5, "data": 2}\n')
        record = next(iter(ring))
        self.assertEqual((record.data, record.missed, ring.unread), (2, 0, 1))
        with self.assertRaises(shmring.BadRecord):
            strict.next(timeout=SOON)
        self.assertEqual((strict.next(timeout=SOON).data, strict.unread), (2, 1))

    def test_only_event_rings_take_records(self):
        with self.assertRaises(ValueError):
            shmring.emit("cam1.frames", "test", 1, project=self.project)


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Stubs(unittest.TestCase):
    """The stubs say what the module has: names, members, parameters."""

    @classmethod
    def setUpClass(cls):
        with open(STUBS) as file:
            stubs = ast.parse(file.read()).body
        definitions = (ast.ClassDef, ast.FunctionDef)
        cls.named = {node.name: node for node in stubs if isinstance(node, definitions)}
        cls.overloaded = {name for name in cls.named if sum(getattr(node, "name", "") == name for node in stubs) > 1}

    def test_they_name_what_the_module_has(self):
        public = {name for name, value in vars(shmring).items() if not isinstance(value, types.ModuleType)}
        self.assertEqual(visible(self.named), visible(public))
        self.assertEqual(visible(shmring.__all__), visible(public))

    def test_their_classes_have_the_same_members(self):
        for name, node in self.named.items():
            kind = getattr(shmring, name)
            if isinstance(kind, type) and not issubclass(kind, (tuple, Exception)):
                with self.subTest(name):
                    members = {node.name for node in node.body if isinstance(node, FUNCTIONS)}
                    self.assertEqual(visible(members), visible(vars(kind)))

    def test_their_final_classes_are_those_that_cannot_be_derived_from(self):
        may_be_a_base = 1 << 10  # Py_TPFLAGS_BASETYPE
        for name, node in self.named.items():
            if isinstance(node, ast.ClassDef):
                final = any(getattr(decorator, "id", "") == "final" for decorator in node.decorator_list)
                self.assertNotEqual(final, bool(getattr(shmring, name).__flags__ & may_be_a_base), name)

    def test_their_functions_take_the_same_parameters(self):
        for name, node in self.named.items():
            found = getattr(shmring, name)
            if isinstance(node, ast.FunctionDef) and name not in self.overloaded:
                self.same_parameters(name, node, found)
            if isinstance(node, ast.ClassDef) and not issubclass(found, tuple):
                for member in node.body:
                    decorated = isinstance(member, ast.FunctionDef) and member.decorator_list
                    if isinstance(member, ast.FunctionDef) and not decorated and not member.name.startswith("_"):
                        self.same_parameters(f"{name}.{member.name}", member, getattr(found, member.name))

    def same_parameters(self, name, node, found):
        arguments = node.args
        stub = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
        stub += [arguments.kwarg.arg] if arguments.kwarg else []
        self.assertEqual(list(inspect.signature(found).parameters), stub, name)


def visible(names):
    return {name for name in names if not name.startswith("_")}


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
