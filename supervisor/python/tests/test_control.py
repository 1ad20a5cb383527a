"""The control module against real supervisors, with workers that are shell commands."""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

import framevisor

#: Long enough for a loaded machine; a test that waits this long fails.
SOON = 60
TWO = """
version: 1
workers:
  a1: {run: [sleep, '1000']}
  a2: {run: [sleep, '1000']}
"""


class Control(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fvpy-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.directory = self.folder / "rt"
        os.environ["XDG_STATE_HOME"] = str(self.folder / "state")
        self.project = f"py{os.getpid()}"

    def file(self, text, name="framevisor.yml"):
        path = self.folder / name
        path.write_text(text)
        return path

    def up(self, text=TWO, wait=True):
        topology, more = self.file(text), {"wait": wait, "timeout": SOON}
        project = framevisor.up(topology, project=self.project, directory=self.directory, **more)
        self.addCleanup(self.end, project)
        return project

    @staticmethod
    def end(project):
        with contextlib.suppress(framevisor.NotRunning):
            project.down()

    def test_a_project_ends_with_its_block(self):
        with self.up() as project:
            self.assertEqual([worker.name for worker in project.workers()], ["a1", "a2"])
            self.assertEqual(project.name, self.project)
        with self.assertRaises(framevisor.NotRunning):
            framevisor.connect(directory=self.directory)

    def test_workers_stop_start_and_restart_by_pattern_and_are_waited_for(self):
        project = self.up()
        self.assertEqual(project.stop("a*"), ["a1", "a2"])
        self.assertEqual({worker.state for worker in project.workers()}, {"stopped"})
        project.start("a1")
        before = project.worker("a1")
        self.assertTrue(before.is_up)
        self.assertEqual(project.worker("a2").state, "stopped")
        project.restart("a1")
        after = project.worker("a1")
        self.assertEqual(after.restarts, before.restarts + 1)
        self.assertNotEqual(after.pid, before.pid)

    def test_the_first_start_of_a_worker_is_one_that_is_waited_for(self):
        never = "{run: [sleep, '1000'], ready: log never}"
        waits = "{run: [sleep, '1000'], after: [a1]}"
        with self.up(f"version: 1\nworkers: {{a1: {never}, a2: {waits}}}", wait=False) as project:
            self.assertEqual(project.worker("a2").state, "stopped")
            project.restart("a2")
            self.assertTrue(project.worker("a2").is_up)

    def test_events_tell_what_happens_from_the_call_on(self):
        project = self.up()
        events = project.events("a2", timeout=SOON)
        project.restart("a1", "a2")
        first = next(events)
        self.assertEqual((first.worker, first.was, first.to), ("a2", "running", "stopping"))
        self.assertEqual(first.time.tzinfo.utcoffset(None).total_seconds(), 0)
        project.down()
        self.assertTrue(all(event.worker == "a2" for event in events))

    def test_events_that_do_not_come_are_told_in_time(self):
        project = self.up()
        with self.assertRaises(framevisor.TimedOut):
            next(project.events(timeout=0.05))

    def test_lines_of_a_worker_are_kept(self):
        project = self.up("version: 1\nworkers: {a: {run: [sh, -c, 'echo hello; echo moon; sleep 1000']}}")
        lines = []
        while len(lines) < 2:
            lines = project.logs("a")
        self.assertEqual([line.text for line in lines], ["hello", "moon"])
        self.assertEqual([line.text for line in project.logs(grep="oo")], ["moon"])

    def test_a_refusal_has_a_code_and_a_hint(self):
        project = self.up(TWO + "  motion: {run: [sleep, '1000']}\n")
        with self.assertRaises(framevisor.Refused) as caught:
            project.restart("motoin")
        self.assertEqual(caught.exception.code, "worker")
        self.assertEqual(str(caught.exception), "no worker is named motoin; did you mean motion?")

    def test_a_worker_that_fails_is_not_waited_for(self):
        project = self.up(
            "version: 1\nworkers: {a: {run: [sh, -c, 'test -e ok && sleep 1000; exit 7'],"
            " ready: log up, restart: {delay: 30s}}}"
        )
        with self.assertRaisesRegex(framevisor.Error, "a is backoff: .*7"):
            project.restart("a")

    def test_waiting_says_what_is_missing(self):
        project = self.up()
        with self.assertRaisesRegex(framevisor.TimedOut, "stopped did not come.*a1 is running"):
            project.wait("a1", state="stopped", timeout=0.05)

    def test_mistakes_of_a_topology_come_with_their_places(self):
        topology = self.file("version: 1\nworkers:\n  a: {run: [sleep, '1'], redy: no}\n")
        with self.assertRaisesRegex(framevisor.Invalid, "framevisor.yml:3:.*redy"):
            framevisor.up(topology, project=self.project, directory=self.directory)

    def test_a_plan_starts_nothing(self):
        plan = framevisor.plan(self.file(TWO), directory=self.directory)
        self.assertEqual([row["name"] for row in plan["processes"]], ["a1", "a2"])
        self.assertFalse(self.directory.exists())

    def test_a_command_that_is_missing_is_named(self):
        saved = os.environ["FRAMEVISOR"]
        self.addCleanup(os.environ.__setitem__, "FRAMEVISOR", saved)
        os.environ["FRAMEVISOR"] = "/nowhere/framevisor"
        with self.assertRaisesRegex(framevisor.Error, "/nowhere/framevisor: no such command"):
            framevisor.plan(self.file(TWO))

    def test_a_message_is_replied_to_by_its_worker(self):
        project = self.listener("message.reply({'double': 2 * message.data['n']})")
        self.assertEqual(project.send("a", {"n": 21}), {"double": 42})
        self.assertEqual([worker.restarts for worker in project.workers()], [0])

    def test_a_worker_can_say_that_it_cannot(self):
        project = self.listener("message.refuse('no such model')")
        with self.assertRaisesRegex(framevisor.Refused, "no such model") as caught:
            project.send("a", 1)
        self.assertEqual(caught.exception.code, "reply")

    def test_a_worker_that_dies_over_a_message_ends_the_wait(self):
        project = self.listener("import os; os.abort()")
        with self.assertRaisesRegex(framevisor.Refused, "ended before it replied"):
            project.send("a", 1)

    def test_a_worker_that_does_not_listen_is_named(self):
        project = self.up()
        with self.assertRaisesRegex(framevisor.Refused, "a1 does not listen.*hello"):
            project.send("a1", 1)

    def test_a_listener_is_told_to_stop_and_ends_in_good_time(self):
        project = self.listener("message.reply(1)")
        project.stop("a")
        lines = [line.text for line in project.logs("a")]
        self.assertEqual(lines[-1:], ["told to stop"])

    def listener(self, answer):
        program = self.file(
            "from framevisor import worker\n"
            "link = worker.link()\n"
            "link.ready()\n"
            "print('listening', flush=True)\n"
            "for message in link.messages():\n"
            f"    {answer}\n"
            "print('told to stop', flush=True)\n",
            "listener.py",
        )
        command = json.dumps([sys.executable, str(program)])
        env = json.dumps({"PYTHONPATH": os.environ["PYTHONPATH"]})
        # It runs from its first instant; its line comes after its hello.
        ready = "ready: log listening"
        project = self.up(f"version: 1\nworkers: {{a: {{run: {command}, env: {env}, {ready}}}}}")
        project.wait("a", timeout=SOON)
        return project


if __name__ == "__main__":
    unittest.main()
