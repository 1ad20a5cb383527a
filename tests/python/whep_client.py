"""aiortc as a WHEP client: whep_client.py URL SECONDS

Prints one JSON object: `seen` has [number or null, ms since 1970] of each picture, `torn` how many had two numbers,
`deleted` what DELETE of its session was answered. Exits 3 where aiortc is not installed; `version` instead of a URL
prints that alone."""
import asyncio
import json
import sys
import time
from urllib.parse import urljoin


def number(row):
    """Of a strip's row of luma (docs/framecode.md); None where its check does not fit."""
    width = len(row)
    word = sum(1 << bit for bit in range(32) if row[int((bit + 0.5) * width / 32)] > 128)
    value, check = word & 0xFFFFFF, word >> 24
    return value if check == (value ^ (value >> 8) ^ (value >> 16)) & 0xFF else None


def look(frame, told):
    at = time.time() * 1000
    luma = frame.to_ndarray(format="gray")
    top, bottom = number(luma[8]), number(luma[-8])
    told["torn"] += top is not None and bottom is not None and top != bottom
    told["seen"].append([top if top == bottom else None, at])


async def follow(track, told):
    from aiortc.mediastreams import MediaStreamError

    try:
        while True:
            look(await track.recv(), told)
    except MediaStreamError:
        pass


async def watch(url, seconds):
    import aiohttp
    from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

    told = {"seen": [], "torn": 0, "codec": None}
    peer = RTCPeerConnection()
    # Before the offer: VP8 would come first.
    codecs = RTCRtpReceiver.getCapabilities("video").codecs
    h264 = [codec for codec in codecs if codec.mimeType == "video/H264"]
    peer.addTransceiver("video", direction="recvonly").setCodecPreferences(h264)
    tasks = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(follow(track, told))))
    await peer.setLocalDescription(await peer.createOffer())
    async with aiohttp.ClientSession() as http:
        offer = peer.localDescription.sdp
        async with http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as answer:
            text = await answer.text()
            if answer.status != 201:
                sys.exit(f"{answer.status}: {text}")
            session = urljoin(str(answer.url), answer.headers["Location"])
        await peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
        await asyncio.sleep(seconds)
        async with http.delete(session) as answer:
            told["deleted"] = answer.status
        told["deleted_at_ms"] = time.time() * 1000
    await peer.close()
    for task in tasks:
        task.cancel()
    print(json.dumps(told))


try:
    import aiohttp
    import aiortc
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
if sys.argv[1] == "version":
    print(aiortc.__version__)
else:
    asyncio.run(watch(sys.argv[1], float(sys.argv[2])))
