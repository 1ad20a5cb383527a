"""PyAV or OpenCV as an RTSP client: rtsp_client.py av|cv2 TRANSPORT URL PICTURES OUT [sound]

Writes pictures as rows of gray bytes, one after the other, or three seconds of sound as WAV. Exits 3 where the module is
not installed; with `version` instead of a transport it prints that alone."""
import os
import sys
import wave

MODULE, TRANSPORT = sys.argv[1], sys.argv[2]
SOUND_S = 3


def av_pictures(av, container, count):
    for number, frame in enumerate(container.decode(video=0), 1):
        yield frame.reformat(format="gray").to_ndarray()
        if number == count:
            return


def av_sound(av, container, path):
    resampler = av.AudioResampler(format="s16", layout="mono", rate=48000)
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48000)
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                out.writeframes(part.to_ndarray().tobytes())
            if out.tell() > SOUND_S * 48000:
                return


def with_av(url, count, path, sound):
    import av

    with av.open(url, options={"rtsp_transport": TRANSPORT}, timeout=30) as container:
        if sound:
            av_sound(av, container, path)
            return
        with open(path, "wb") as out:
            for picture in av_pictures(av, container, count):
                out.write(picture.tobytes())


def with_cv2(url, count, path, sound):
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;" + TRANSPORT
    import cv2

    if sound:
        sys.exit("OpenCV hands out no sound of a stream")
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    with open(path, "wb") as out:
        for _ in range(count):
            there, picture = capture.read()
            if not there:
                sys.exit("read no picture")
            out.write(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).tobytes())


try:
    if TRANSPORT == "version":
        print(__import__(MODULE).__version__)
    else:
        url, count, path = sys.argv[3:6]
        {"av": with_av, "cv2": with_cv2}[MODULE](url, int(count), path, sys.argv[6:] == ["sound"])
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
