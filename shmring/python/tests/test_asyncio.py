"""Rings in event loops: asyncio, select; waiting for several; semaphores."""

import asyncio
import contextlib
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
import unittest

import shmring

from ringtest import SOON, RingTest, descriptors, gray, until


class Async(RingTest):
    def run_in_loop(self, work):
        return asyncio.run(asyncio.wait_for(work, 3 * SOON))

    def test_frames_arrive_in_a_loop(self):
        writer = self.paint()
        ring = self.attach(policy="sequential")

        async def work():
            seen = []
            put = asyncio.get_running_loop().call_soon
            put(writer.put, gray(1))
            async for frame in ring:
                seen.append(int(frame.numpy()[0, 0]))
                if len(seen) == 5:
                    return seen
                put(writer.put, gray(seen[-1] + 1))

        self.assertEqual(self.run_in_loop(work()), [1, 2, 3, 4, 5])

    def test_a_timeout_gives_none_and_what_is_there_comes_at_once(self):
        writer = self.paint()
        ring = self.attach()

        async def work():
            self.assertIsNone(await ring.anext(timeout=0.05))
            self.assertIsNone(await ring.anext(timeout=0))
            writer.put(gray(7))
            return (await ring.anext(timeout=SOON)).seq

        self.assertEqual(self.run_in_loop(work()), 1)

    def test_many_rings_share_one_loop_and_one_thread(self):
        names = [f"cam{number}.frames" for number in range(8)]
        writers = [self.paint(ring=name) for name in names]
        rings = [self.attach(name, policy="sequential") for name in names]

        async def read(ring):
            return [(await ring.anext()).seq for _ in range(3)]

        async def work():
            tasks = [asyncio.create_task(read(ring)) for ring in rings]
            for _ in range(3):
                await asyncio.sleep(0.05)
                for writer in writers:
                    writer.put(gray(1))
                    await asyncio.sleep(0.01)
            threads = own_threads()
            return await asyncio.gather(*tasks), threads

        seen, threads = self.run_in_loop(work())
        self.assertEqual(seen, [[1, 2, 3]] * 8)
        self.assertEqual(threads, 1)

    def test_a_cancelled_wait_loses_nothing(self):
        writer = self.paint()
        ring = self.attach(policy="sequential")

        async def work():
            seen = []
            for number in range(200):
                waiting = asyncio.create_task(ring.anext())
                await asyncio.sleep(0)
                writer.put(gray(number))
                if number % 2:
                    await asyncio.sleep(0)
                waiting.cancel()
                try:
                    seen.append((await waiting).seq)
                except asyncio.CancelledError:
                    pass
                # Not so many that they are overwritten.
                while (frame := ring.next(timeout=0)) is not None:
                    seen.append(frame.seq)
            return seen

        self.assertEqual(self.run_in_loop(work()), list(range(1, 201)))

    def test_several_tasks_may_wait_for_one_ring(self):
        writer = self.paint()
        ring = self.attach(policy="sequential")

        async def work():
            tasks = [asyncio.create_task(ring.anext()) for _ in range(2)]
            await asyncio.sleep(0)
            for number in range(2):
                writer.put(gray(number))
            frames = await asyncio.gather(*tasks)
            return sorted(frame.seq for frame in frames)

        self.assertEqual(self.run_in_loop(work()), [1, 2])

    def test_a_restarted_writer_is_followed_in_a_loop(self):
        first = self.paint()
        ring = self.attach()
        before = ring.epoch

        async def work():
            waiting = asyncio.create_task(ring.anext())
            await asyncio.sleep(0.05)
            first.kill()
            second = self.paint()
            second.put(gray(2))
            return (await waiting).epoch

        self.assertGreater(self.run_in_loop(work()), before)

    def test_closing_a_ring_ends_a_wait_for_it(self):
        self.paint()
        ring = self.attach()

        async def work():
            waiting = asyncio.create_task(ring.anext())
            await asyncio.sleep(0.01)
            ring.close()
            with self.assertRaises(shmring.Closed):
                await waiting

        self.run_in_loop(work())

    def test_a_program_that_watches_the_descriptor_itself_is_not_in_the_way(self):
        writer = self.paint()
        ring = self.attach()

        async def work():
            called = asyncio.Event()
            asyncio.get_running_loop().add_reader(ring.fileno(), called.set)
            waiting = asyncio.create_task(ring.anext())
            await asyncio.sleep(0)
            writer.put(gray(1))
            await called.wait()
            self.assertEqual((await waiting).seq, 1)
            asyncio.get_running_loop().remove_reader(ring.fileno())

        self.run_in_loop(work())

    def test_a_strict_ring_ends_a_loop_when_its_writer_finishes(self):
        writer = self.paint()
        ring = self.attach(strict=True, policy="sequential")

        async def work():
            writer.put(gray(1))
            writer.finish()
            return [frame.seq async for frame in ring]

        self.assertEqual(self.run_in_loop(work()), [1])

    def test_descriptors_do_not_leak(self):
        writer = self.paint()

        def turn():
            with shmring.attach("cam1.frames", self.project) as ring:
                ring.fileno()
                writer.put(gray(1))
                asyncio.run(ring.anext())

        def at_rest():
            # The thread that waits for all rings lets go of the last one when it ends, a moment later.
            gc.collect()
            until(lambda: own_threads() == 0)
            return descriptors()

        turn()
        before = at_rest()
        for _ in range(20):
            turn()
        self.assertEqual(at_rest(), before)


class Descriptors(RingTest):
    def test_a_descriptor_is_readable_while_there_is_something(self):
        writer = self.paint()
        ring = self.attach(policy="sequential")
        descriptor = ring.fileno()
        self.assertEqual(ring.fileno(), descriptor)
        self.assertFalse(readable(descriptor, 0))
        writer.put(gray(1))
        self.assertTrue(readable(descriptor, SOON))
        self.assertEqual(ring.next(timeout=0).seq, 1)
        self.assertIsNone(ring.next(timeout=0))
        self.assertFalse(readable(descriptor, 0))

    def test_epoll_tells_which_of_many_rings_has_something(self):
        names = [f"cam{number}.frames" for number in range(4)]
        writers = [self.paint(ring=name) for name in names]
        rings = {ring.fileno(): ring for ring in map(self.attach, names)}
        with select.epoll() as epoll:
            for descriptor in rings:
                epoll.register(descriptor, select.EPOLLIN)
            writers[2].put(gray(1))
            ready = epoll.poll(SOON)
            self.assertEqual([rings[descriptor].name for descriptor, _ in ready], ["cam2.frames"])


class Waiting(RingTest):
    def test_whichever_ring_has_something_is_named(self):
        names = ["cam1.frames", "cam2.frames", "cam3.frames"]
        writers = [self.paint(ring=name) for name in names]
        rings = [self.attach(name) for name in names]
        self.assertEqual(shmring.wait(rings, timeout=0), [])
        writers[1].put(gray(1))
        self.assertEqual(shmring.wait(rings, timeout=SOON), [rings[1]])
        writers[0].put(gray(1))
        self.assertEqual(shmring.wait(rings), [rings[0], rings[1]])
        self.assertEqual(shmring.wait([], timeout=0.01), [])
        rings[0].close()
        with self.assertRaises(shmring.Closed):
            shmring.wait(rings)

    def test_a_semaphore_counts_what_there_is(self):
        writer = self.paint()
        ring = self.attach(policy="sequential")
        semaphore = ring.semaphore
        self.assertEqual((semaphore.count, semaphore.try_wait()), (0, False))
        writer.put(gray(1))
        writer.put(gray(2))
        self.assertEqual((semaphore.count, semaphore.try_wait(), semaphore.wait()), (2, True, True))
        ring.next(timeout=0)
        self.assertEqual(semaphore.count, 1)
        ring.next(timeout=0)
        began = time.monotonic()
        self.assertFalse(semaphore.wait(timeout=0.15))
        self.assertFalse(semaphore.wait_until(time.monotonic() + 0.15))
        self.assertFalse(semaphore.wait_until(0.0))
        self.assertGreaterEqual(time.monotonic() - began, 0.3)

    def test_another_thread_waits_for_the_semaphore(self):
        writer = self.paint()
        ring = self.attach()
        told = []
        thread = threading.Thread(target=lambda: told.append(ring.semaphore.wait()))
        thread.start()
        writer.put(gray(1))
        thread.join(SOON)
        self.assertEqual(told, [True])

    def test_ctrl_c_ends_every_kind_of_wait(self):
        self.paint()
        waits = [
            "shmring.wait([ring])",
            "ring.semaphore.wait()",
            "next(ring)",
            "import asyncio; asyncio.run(ring.anext())",
            "shmring.attach('none.frames', ring.project, wait=60)",
            "next(shmring.sync(['cam1'], project=ring.project))",
            "shmring.VideoCapture('cam1', ring.project).read()",
        ]
        for wait in waits:
            with self.subTest(wait):
                program = "import shmring, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
                program += f"ring = shmring.attach('cam1.frames', '{self.project}'); print(flush=True); {wait}"
                command = [sys.executable, "-c", program]
                child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                child.stdout.readline()
                until(lambda: asleep(child.pid))
                child.send_signal(signal.SIGINT)
                _, text = child.communicate(timeout=SOON)
                self.assertIn(b"KeyboardInterrupt", text)


def own_threads():
    names = []
    for task in os.listdir("/proc/self/task"):
        # One that has just ended has no name any more.
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/comm") as file:
            names.append(file.read().strip())
    return names.count("shmring-wait")


def asleep(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "S"


def readable(descriptor, timeout):
    return bool(select.select([descriptor], [], [], timeout)[0])


if __name__ == "__main__":
    unittest.main()
