"""Rings in asyncio: a loop watches a ring's descriptor, and no thread waits for it."""

import asyncio
import weakref

from ._native import Ended

# For each loop: descriptor -> the futures of those who wait for it.
_waiting = weakref.WeakKeyDictionary()


async def next_item(ring, timeout=None):
    """The next item, or None after `timeout` seconds. Nothing is taken before it is handed out, so
    nothing is lost when this is cancelled."""
    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else loop.time() + timeout
    while (item := ring.next(timeout=0)) is None:
        if not await _readable(loop, ring._fileno_of_loop(), deadline):
            return None
    return item


async def iterate(ring):
    try:
        return await next_item(ring)
    except Ended as end:
        raise StopAsyncIteration from end


async def _readable(loop, descriptor, deadline):
    """Waits for a descriptor with all others who do; False when the time is over."""
    watched = _waiting.setdefault(loop, {})
    waiters = watched.get(descriptor)
    if waiters is None:
        waiters = watched[descriptor] = set()
        loop.add_reader(descriptor, _wake, waiters)
    waiter = loop.create_future()
    waiters.add(waiter)
    timer = None if deadline is None else loop.call_at(deadline, _answer, waiter, False)
    try:
        return await waiter
    finally:
        if timer is not None:
            timer.cancel()
        waiters.discard(waiter)
        if not waiters and watched.get(descriptor) is waiters:
            del watched[descriptor]
            loop.remove_reader(descriptor)


def _wake(waiters):
    for waiter in waiters:
        _answer(waiter, True)


def _answer(waiter, answer):
    if not waiter.done():
        waiter.set_result(answer)
