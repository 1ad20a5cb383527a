# Sourced by scripts that play RTSP: the players that a client table has, and a network of their own for them.

# Each player that cannot be had is skipped, with the reason in its row.
need_packages $PEER_PACKAGES mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
  gstreamer1.0-plugins-bad iproute2 || say "going on without"

. scripts/lib/venv.sh
players_venv "av, cv2, onvif" "av opencv-python-headless onvif-zeep"

say "building the retina client"
CARGO_TARGET_DIR="$target" cargo build --release --quiet --manifest-path tests/retina/Cargo.toml >&2 ||
  say "going on without"

# alone COMMAND... : in a network of its own where root allows, in which loopback carries multicast too. Ports never
# clash there, and nothing leaves the machine. A second network, behind a link, is for the multicast of the server that
# ours is compared with: it and a player cannot both have a group's port in one.
alone() {
  if [ "$(id -u)" = 0 ] && unshare -n true 2> /dev/null; then
    unshare -n sh -c '
      ip link set lo up multicast on
      ip route add 239.255.77.0/24 dev lo
      unshare -n sleep infinity &
      other=$!
      trap "kill $other" EXIT
      # Its network is there once it is not ours any more.
      while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
      if ip link add fv-here type veth peer name fv-there netns $other; then
        ip addr add 10.77.0.1/24 dev fv-here
        ip link set fv-here up
        ip route add 239.255.78.0/24 dev fv-here
        nsenter -n -t $other sh -c "ip link set lo up && ip addr add 10.77.0.2/24 dev fv-there &&
          ip link set fv-there up && ip route add 224.0.0.0/4 dev fv-there"
        export PEER_NETWORK="$other 10.77.0.2"
      fi
      "$@"' sh "$@"
  else
    say "not root: no network of its own, so multicast may go nowhere"
    "$@"
  fi
}
