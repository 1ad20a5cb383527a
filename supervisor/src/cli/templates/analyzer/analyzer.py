#!/usr/bin/env python3
"""{name}: how bright each picture is that it is given, as records.

framevisor starts it. `framevisor tap {name}.events` shows what it finds, `framevisor logs {name}` what it prints, and
`framevisor send {name} '{"threshold": 100}'` changes what is worth a record while it runs."""
import shmring

threshold = 0.0


def look(picture):
    """What is in a picture, or None. The array lies in shared memory: it is read, never written."""
    brightness = float(picture[::4, ::4].mean())
    return {"brightness": round(brightness, 1)} if brightness >= threshold else None


with shmring.attach(messages=True) as ring:      # which ring, and how often, the topology says
    for item in ring:                            # ends when framevisor stops it
        if isinstance(item, shmring.Message):
            try:
                threshold = float(item.data["threshold"])
                item.reply({"threshold": threshold})
            except (KeyError, TypeError, ValueError):
                item.refuse('expected {"threshold": NUMBER}')
        elif found := look(item.numpy()):
            ring.emit("brightness", found, at=item)
