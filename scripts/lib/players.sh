# Sourced by scripts that play RTSP: the players that a client table has, and a network of their own for them.

# Each player that cannot be had is skipped, with the reason in its row.
need_packages $PEER_PACKAGES mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
  gstreamer1.0-plugins-bad iproute2 || say "going on without"

# PyAV and OpenCV are wheels of PyPI, kept in a folder of the tests' cache.
players="${TMPDIR:-/tmp}/framevisor-test-cache/players"
if ! "$players/bin/python" -c 'import av, cv2' 2> /dev/null; then
  say "installing PyAV and OpenCV into $players"
  python3=/usr/bin/python3
  [ -x "$python3" ] || python3=python3
  { "$python3" -m venv --system-site-packages "$players" &&
    "$players/bin/pip" install --quiet av opencv-python-headless >&2; } || say "going on without"
fi
[ ! -x "$players/bin/python" ] || export PLAYERS_PYTHON="$players/bin/python"

say "building the retina client"
CARGO_TARGET_DIR="$target" cargo build --release --quiet --manifest-path tests/retina/Cargo.toml >&2 ||
  say "going on without"

# alone COMMAND... : in a network of its own where root allows, in which loopback carries multicast too. Ports never
# clash there, and nothing leaves the machine.
alone() {
  if [ "$(id -u)" = 0 ] && unshare -n true 2> /dev/null; then
    unshare -n sh -c 'ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo; exec "$@"' sh "$@"
  else
    say "not root: no network of its own, so multicast may go nowhere"
    "$@"
  fi
}
