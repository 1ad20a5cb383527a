"""How light it is, reckoned on the card that decoded the pictures (scripts/topologies/device.yml)."""

import shmring
import torch

with shmring.attach() as ring:
    for f in ring:
        luma = torch.from_dlpack(f.planes[0])  # on the card, not copied
        light = float(luma.float().mean())
        # The decoder may have died meanwhile, and its memory with it.
        if not f.lost:
            ring.emit("light", {"luma": round(light, 1)}, at=f)
