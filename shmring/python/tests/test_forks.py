"""What a forked child may do, and what it does to its parent: nothing."""

import contextlib
import os
import subprocess
import sys
import unittest

import shmring

from ringtest import SOON, RingTest, gray, until


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


if __name__ == "__main__":
    unittest.main()
