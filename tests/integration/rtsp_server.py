"""A real RTSP server for the tests: GStreamer's, run by the system's Python, which has its bindings.

    /usr/bin/python3 rtsp_server.py '{"mounts": {"/live": {"gop": 25}}, "user": "viewer", "password": "secret"}'

It prints one line, `ready PORT`, and serves until it is killed. A mount:

    gop        frames from one key frame to the next (25)
    fps        frames per second (25)
    size       [width, height] ([320, 240])
    shared     one encoder for all clients, who join in mid-GOP (true)
    protocols  "any", "tcp" or "udp" (any)
    file       an MP4 with H.264 to serve instead of the live test pattern
    pattern    of GStreamer's videotestsrc (ball)
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ROLE = "viewer"
PROTOCOLS = {
    "any": GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP,
    "tcp": GstRtsp.RTSPLowerTrans.TCP,
    "udp": GstRtsp.RTSPLowerTrans.UDP,
}


def launch_line(mount):
    """The pipeline of one mount, in GStreamer's own notation."""
    pay = "rtph264pay name=pay0 pt=96 config-interval=-1"
    if "file" in mount:
        return f'( filesrc location="{mount["file"]}" ! qtdemux ! h264parse ! {pay} )'
    width, height = mount.get("size", (320, 240))
    fps = mount.get("fps", 25)
    return (
        f"( videotestsrc is-live=true pattern={mount.get('pattern', 'ball')}"
        f" ! video/x-raw,width={width},height={height},framerate={fps}/1"
        f" ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={mount.get('gop', 25)}"
        f" ! video/x-h264,profile=baseline ! {pay} )"
    )


def factory_of(mount, guarded):
    """A media factory; a guarded one serves the viewer's role only."""
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch_line(mount))
    factory.set_shared(mount.get("shared", True))
    factory.set_protocols(PROTOCOLS[mount.get("protocols", "any")])
    if guarded:
        permissions = GstRtspServer.RTSPPermissions()
        for key in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role(ROLE, key, True)
        factory.set_permissions(permissions)
    return factory


def auth_of(options):
    """User and password, a certificate, or both."""
    auth = GstRtspServer.RTSPAuth()
    if "certificate" in options:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(options["certificate"], options["key"]))
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if "user" in options:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options["user"], options["password"]), token)
    else:
        auth.set_default_token(token)
    return auth


def main():
    """Serve until killed."""
    options = json.loads(sys.argv[1])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.get("port", 0)))
    guarded = "user" in options or "certificate" in options
    if guarded:
        server.set_auth(auth_of(options))
    for path, mount in options["mounts"].items():
        server.get_mount_points().add_factory(path, factory_of(mount, guarded))
    if server.attach(None) == 0:
        sys.exit(f"port {options.get('port')} is taken")
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
