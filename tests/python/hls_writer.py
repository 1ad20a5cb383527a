"""What a program without rings does to be seen live: hls_writer.py FOLDER PICTURES_A_SECOND BITRATE

Draws the pictures of scripts/examples/streamview.py, encodes them with PyAV as our encoder does, and writes an HLS list into
FOLDER, which nobody serves. Says `begin`, then goes on until its standard input ends, and prints how many pictures it has
written. Exits 3 where PyAV is not installed."""
import json
import sys
import threading
import time

import numpy

try:
    import av
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

import streamview


def pictures():
    ball, sky = streamview.Ball(), streamview.background()
    radius = streamview.RADIUS
    y, x = numpy.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = x * x + y * y <= radius * radius
    picture = numpy.empty_like(sky)
    while True:
        ball.step(1 / streamview.FPS)
        top, left = int(ball.y) - radius, int(ball.x) - radius
        picture[...] = sky
        place = picture[max(top, 0) : top + 2 * radius + 1, left : left + 2 * radius + 1]
        place[disc[-place.shape[0] :, : place.shape[1]]] = (255, 190, 40)
        # The three numbers that the other program tells.
        yield picture, json.dumps({"height": ball.height, "speed": ball.speed, "energy": ball.energy})


def main(folder, fps, bitrate):
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    options = {"hls_time": "2", "hls_list_size": "6", "hls_flags": "delete_segments"}
    count, due = 0, time.monotonic()
    with av.open(f"{folder}/live.m3u8", "w", format="hls", options=options) as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = streamview.WIDTH, streamview.HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = bitrate, fps
        # As ours: more threads take more in all for a picture this small.
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "x264-params": "scenecut=0",
                          "maxrate": str(bitrate), "bufsize": str(bitrate)}
        print("begin", flush=True)
        for picture, _ in pictures():
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = count
            out.mux(stream.encode(frame))
            count += 1
            if ended.is_set():
                break
            due = max(due + 1 / fps, time.monotonic() - 1)
            time.sleep(max(due - time.monotonic(), 0))
        out.mux(stream.encode())
    print(json.dumps({"pictures": count}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
