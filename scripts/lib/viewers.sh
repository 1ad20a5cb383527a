# Sourced by scripts that watch the page: what plays HLS, MJPEG and WebRTC beside a browser, and what stands around a page.

. scripts/lib/venv.sh
# Another Node.js than Debian's brings its npm with it, and Debian's cannot be installed beside that.
node_packages="nodejs npm"
command -v node > /dev/null && command -v npm > /dev/null && node_packages=""
# Each that cannot be had is skipped, with the reason in its row.
# shellcheck disable=SC2086
need_packages curl $node_packages mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
  gstreamer1.0-plugins-bad || say "going on without"
need_packages firefox-esr || say "going on without"
need_servers mosquitto nginx-light prometheus || say "going on without"
players_venv "av, cv2, aiortc, aiohttp" "av opencv-python-headless aiortc aiohttp"
