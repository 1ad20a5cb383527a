"""gst-rtsp-server, to compare with: serves a file, or what comes by stdin, at rtsp://127.0.0.1:PORT/cam.

    rtsp_peer.py PORT (--file FILE [--codec NAME] [--sound] | --stdin) [--user NAME --password-file FILE]
                 [--certificate PEM KEY] [--multicast ADDRESS]

The picture of a file is H.264, or what --codec says: h265, mjpeg, mpeg4. By stdin come access units of H.264 in Annex B, each behind its length and whether it is a key frame (1), in five
bytes, the lowest first. Prints `ready` when it listens. Exits 3 where gst-rtsp-server is not installed."""
import argparse
import struct
import sys
import threading

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as error:
    print(error, file=sys.stderr)
    sys.exit(3)

PICTURE = "h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 aggregate-mode=none mtu=1400"
PICTURES = {
    "h264": PICTURE,
    "h265": "h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96 aggregate-mode=none mtu=1400",
    "mjpeg": "jpegparse ! rtpjpegpay name=pay0 pt=26 mtu=1400",
    "mpeg4": "mpeg4videoparse ! rtpmp4vpay name=pay0 pt=96 config-interval=1 mtu=1400",
}
FROM_STDIN = ("( appsrc name=units is-live=true format=time do-timestamp=true"
              " caps=video/x-h264,stream-format=byte-stream,alignment=au ! %s )" % PICTURE)


def from_file(path, codec, sound):
    """The picture of an MP4 file at its own pace, with its AAC beside it."""
    launch = 'filesrc location="%s" ! qtdemux name=d d.video_0 ! queue ! %s' % (path, PICTURES[codec])
    if sound:
        launch += " d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"
    return "( %s )" % launch


class Units:
    """Hands units on to whatever pipeline serves just now, each one from a key frame on."""

    def __init__(self):
        self.source = None
        self.begun = False
        threading.Thread(target=self.read, daemon=True).start()

    def configure(self, _factory, media):
        self.begun = False
        self.source = media.get_element().get_by_name_recurse_up("units")

    def read(self):
        stdin = sys.stdin.buffer
        while head := stdin.read(5):
            length, key = struct.unpack("<IB", head)
            unit = stdin.read(length)
            source = self.source
            if source is None or not (key or self.begun):
                continue
            self.begun = True
            source.emit("push-buffer", Gst.Buffer.new_wrapped(unit))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--file")
    parser.add_argument("--codec", choices=PICTURES, default="h264")
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--stdin", action="store_true")
    parser.add_argument("--user")
    parser.add_argument("--password-file")
    parser.add_argument("--certificate", nargs=2)
    parser.add_argument("--multicast")
    return parser.parse_args()


def allowed(factory, role):
    """What says that somebody may play."""
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(role, right, True)
    factory.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
    return token


def protect(server, factory, options):
    """Digest (its default) for one user."""
    auth = GstRtspServer.RTSPAuth()
    token = allowed(factory, options.user)
    with open(options.password_file, encoding="utf-8") as file:
        auth.add_digest(options.user, file.read().strip(), token)
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    server.set_auth(auth)


def encrypt(server, factory, options):
    auth = GstRtspServer.RTSPAuth()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*options.certificate))
    auth.set_default_token(allowed(factory, "anybody"))
    server.set_auth(auth)


def main():
    options = arguments()
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    # Multicast has a network of its own, which is not loopback.
    server.set_address("0.0.0.0" if options.multicast else "127.0.0.1")
    server.set_service(options.port)
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_shared(True)
    # What it holds back for others' clocks by default is no part of serving.
    factory.set_latency(0)
    if options.stdin:
        units = Units()
        factory.set_launch(FROM_STDIN)
        factory.connect("media-configure", units.configure)
    else:
        factory.set_launch(from_file(options.file, options.codec, options.sound))
    if options.multicast:
        pool = GstRtspServer.RTSPAddressPool.new()
        first = int(options.port) + 100 & ~1
        pool.add_range(options.multicast, options.multicast, first, first + 9, 1)
        factory.set_address_pool(pool)
    if options.user:
        protect(server, factory, options)
    if options.certificate:
        encrypt(server, factory, options)
    server.get_mount_points().add_factory("/cam", factory)
    if server.attach(None) == 0:
        sys.exit("cannot listen on port %s" % options.port)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
