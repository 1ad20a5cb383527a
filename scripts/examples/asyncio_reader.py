#!/usr/bin/env python3
"""Several rings in one asyncio loop, without a thread for each: asyncio_reader.py cam1.frames cam2.frames"""
import asyncio
import sys

import shmring


async def watch(name):
    with shmring.attach(name) as ring:
        async for f in ring:
            print(name, f.seq, f"{f.age_ms:.1f} ms old", flush=True)


async def main(names):
    await asyncio.gather(*map(watch, names))


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except KeyboardInterrupt:
        pass
