"""Messages to a worker, among the items of the ring it reads: the supervisor's end is played here."""

import json
import os
import socket
import subprocess
import sys
import textwrap
import unittest

import shmring

from ringtest import SOON, RingTest, gray

PRELUDE = """
import select, sys
import shmring

def say(*words):
    print(*words, flush=True)
"""


class Supervised(RingTest):
    """A program with a control link, as a topology would run it."""

    def start(self, program, **environment):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(SOON)
        self.addCleanup(ours.close)
        told = {
            "FRAMEVISOR_PROJECT": self.project,
            "FRAMEVISOR_WORKER": "mine",
            "FRAMEVISOR_IN": "cam1.frames",
            "FRAMEVISOR_OUT": "mine.events",
            "FRAMEVISOR_CONTROL_FD": str(theirs.fileno()),
        }
        with theirs:
            child = subprocess.Popen(
                [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
                env=os.environ | told | environment,
                pass_fds=[theirs.fileno()],
                stdout=subprocess.PIPE,
                text=True,
            )
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.link = ours
        return child

    def heard(self):
        """The next thing the worker says: verb and arguments."""
        said = json.loads(self.link.recv(65536))
        return said["verb"], said["args"]

    def tell(self, **event):
        self.link.send(json.dumps({"event": event}).encode())

    def is_up(self):
        self.assertEqual(self.heard(), ("hello", {}))
        self.assertEqual(self.heard(), ("ready", {}))


class Messages(Supervised):
    LOOP = """
        with shmring.attach(messages=True) as ring:
            say("attached")
            for item in ring:
                if isinstance(item, shmring.Message):
                    if item.data == "no":
                        item.refuse("not me")
                    else:
                        item.reply({"taken": item.data})
                else:
                    say("frame", item.seq, int(item.numpy().mean()))
            say("over")
    """

    def test_they_come_between_the_frames_and_the_replies_go_back(self):
        writer = self.paint()
        child = self.start(self.LOOP)
        self.is_up()
        self.assertEqual(child.stdout.readline(), "attached\n")
        self.tell(message={"id": 7, "data": {"threshold": 0.5}})
        self.assertEqual(self.heard(), ("reply", {"to": 7, "data": {"taken": {"threshold": 0.5}}}))
        writer.put(gray(9))
        self.assertEqual(child.stdout.readline(), "frame 1 9\n")
        self.tell(message={"id": 8, "data": "no"})
        self.assertEqual(self.heard(), ("reply", {"to": 8, "error": "not me"}))
        writer.put(gray(10))
        self.assertEqual(child.stdout.readline(), "frame 2 10\n")

    def test_the_loop_ends_when_the_worker_is_told_to_stop(self):
        self.paint()
        child = self.start(self.LOOP)
        self.assertEqual(child.stdout.readline(), "attached\n")
        self.tell(stop={"grace_ms": 2000})
        self.assertEqual(child.stdout.readline(), "over\n")
        self.assertEqual(child.wait(SOON), 0)

    def test_the_end_of_the_supervisor_is_a_stop_too(self):
        self.paint()
        child = self.start(self.LOOP)
        self.assertEqual(child.stdout.readline(), "attached\n")
        self.link.close()
        self.assertEqual(child.stdout.readline(), "over\n")

    def test_one_descriptor_tells_of_frames_and_of_messages(self):
        writer = self.paint()
        child = self.start("""
            ring = shmring.attach(messages=True)
            descriptor = ring.fileno()
            while True:
                select.select([descriptor], [], [])
                while (item := ring.next(timeout=0)) is not None:
                    say(type(item).__name__)
                    if isinstance(item, shmring.Message):
                        item.reply()
                    del item
        """)
        self.is_up()
        self.tell(message={"id": 1, "data": None})
        self.assertEqual(child.stdout.readline(), "Message\n")
        self.assertEqual(self.heard(), ("reply", {"to": 1, "data": None}))
        writer.put(gray(1))
        self.assertEqual(child.stdout.readline(), "Frame\n")
        self.tell(message={"id": 2, "data": None})
        self.assertEqual(child.stdout.readline(), "Message\n")

    def test_an_event_loop_gets_both(self):
        writer = self.paint()
        child = self.start("""
            import asyncio

            async def main():
                ring = shmring.attach(messages=True)
                say("attached")
                async for item in ring:
                    say(type(item).__name__)
                say("over")

            asyncio.run(main())
        """)
        self.assertEqual(child.stdout.readline(), "attached\n")
        self.tell(message={"id": 1, "data": None})
        self.assertEqual(child.stdout.readline(), "Message\n")
        writer.put(gray(1))
        self.assertEqual(child.stdout.readline(), "Frame\n")
        self.tell(stop={"grace_ms": 2000})
        self.assertEqual(child.stdout.readline(), "over\n")

    def test_a_writer_that_has_ended_holds_no_message_up(self):
        writer = self.paint()
        child = self.start(self.LOOP)
        self.is_up()
        self.assertEqual(child.stdout.readline(), "attached\n")
        writer.finish()
        self.tell(message={"id": 3, "data": 1})
        self.assertEqual(self.heard(), ("reply", {"to": 3, "data": {"taken": 1}}))

    def test_who_waits_for_a_ring_says_so_and_sends_messages_away(self):
        child = self.start(self.LOOP)
        self.is_up()
        self.assertEqual(self.heard(), ("condition", {"condition": "waiting", "why": "ring cam1.frames is not there yet"}))
        self.tell(message={"id": 4, "data": 1})
        verb, args = self.heard()
        self.assertEqual((verb, args["to"]), ("reply", 4))
        self.assertIn("not there yet", args["error"])
        self.paint()
        self.assertEqual(child.stdout.readline(), "attached\n")
        self.assertEqual(self.heard(), ("condition", {"condition": "flowing", "why": ""}))

    def test_who_waits_for_a_ring_ends_when_told_to_stop(self):
        child = self.start(self.LOOP)
        self.is_up()
        self.tell(stop={"grace_ms": 2000})
        self.assertEqual(child.wait(SOON), 0)
        self.assertEqual(child.stdout.read(), "")

    def test_conditions_are_told_and_others_than_there_are_refused(self):
        self.paint()
        child = self.start("""
            ring = shmring.attach(messages=True)
            ring.condition("degraded", "no GPU")
            try:
                ring.condition("fine")
            except ValueError as error:
                say(error)
        """)
        self.is_up()
        self.assertEqual(self.heard(), ("condition", {"condition": "degraded", "why": "no GPU"}))
        self.assertIn("expected flowing", child.stdout.readline())

    def test_a_program_that_no_topology_runs_gets_frames_alone(self):
        writer = self.paint()
        self.assertNotIn("FRAMEVISOR_CONTROL_FD", os.environ, "the tests themselves have a link")
        ring = self.attach(messages=True)
        writer.put(gray(5))
        self.assertEqual(ring.next(timeout=SOON).seq, 1)
        ring.condition("degraded", "nobody is told")


class Emitting(RingTest):
    def test_a_ring_emits_about_its_frames(self):
        frame = self.one(gray(3))
        ring = self.attach()
        number = ring.emit("seen", {"label": "cat", "box": [1, 2, 3, 4]}, at=frame, id="cat-1")
        names = [row["name"] for row in shmring.rings(self.project) if row["name"].startswith("ext.")]
        self.assertEqual(len(names), 1, names)
        record = self.attach(names[0], policy="sequential").next(timeout=SOON)
        self.assertEqual((record.seq, record.kind, record.id, record.camera), (number, "seen", "cat-1", "cam1"))
        self.assertEqual((record.frame, record.data["box"]), (frame.id, [1, 2, 3, 4]))

    def test_the_ring_of_a_worker_needs_no_name(self):
        self.paint()
        os.environ["FRAMEVISOR_IN"] = "cam1.frames,cam2.frames"
        self.addCleanup(os.environ.pop, "FRAMEVISOR_IN")
        ring = shmring.attach(project=self.project)
        self.addCleanup(ring.close)
        self.assertEqual(ring.name, "cam1.frames")
        os.environ["FRAMEVISOR_IN"] = ""
        with self.assertRaisesRegex(ValueError, "which ring"):
            shmring.attach(project=self.project)


if __name__ == "__main__":
    unittest.main()
