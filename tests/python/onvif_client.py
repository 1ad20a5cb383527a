"""An ONVIF client library (onvif-zeep) against a device: onvif_client.py HOST PORT USER PASSWORD_FILE

Prints what it was told as JSON: the device, and each profile with the address of its stream. Exits 3 where the library is
not installed."""
import json
import sys

try:
    from onvif import ONVIFCamera
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

HOST, PORT, USER, PASSWORD_FILE = sys.argv[1:5]


def uri_of(media, token):
    setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
    return media.GetStreamUri({"StreamSetup": setup, "ProfileToken": token}).Uri


def main():
    with open(PASSWORD_FILE, encoding="utf-8") as file:
        password = file.read().strip()
    camera = ONVIFCamera(HOST, int(PORT), USER, password)
    media = camera.create_media_service()
    profiles = [
        {
            "token": profile.token,
            "encoding": profile.VideoEncoderConfiguration.Encoding,
            "width": profile.VideoEncoderConfiguration.Resolution.Width,
            "uri": uri_of(media, profile.token),
        }
        for profile in media.GetProfiles()
    ]
    told = {
        "maker": camera.devicemgmt.GetDeviceInformation().Manufacturer,
        "year": camera.devicemgmt.GetSystemDateAndTime().UTCDateTime.Date.Year,
        "sources": len(media.GetVideoSources()),
        "profiles": profiles,
    }
    print(json.dumps(told))


main()
