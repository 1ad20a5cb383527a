# Sourced by the scripts: makes sure of the system packages and of Rust, saying what it does.
# Everything is said on stderr; stdout belongs to the script.

say() { printf '%s\n' "$*" >&2; }

# What the build needs.
BUILD_PACKAGES="build-essential pkg-config libavutil-dev libavcodec-dev libavformat-dev libswscale-dev \
libclang1-14 libclang-common-14-dev"
# What the proofs need beside it: independent players, numpy for the Python reader, venv for its wheel.
PROOF_PACKAGES="ffmpeg python3 python3-numpy python3-venv"

# The server that ours is compared with.
PEER_PACKAGES="gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else say "need root to run: $*"; say "run this script as root, or install sudo"; return 1
  fi
}

# need_packages NAME... : installs those that are missing.
need_packages() {
  command -v dpkg-query >/dev/null || { say "not a Debian system: install the equivalents of: $*"; return 0; }
  missing=""
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  say "installing system packages:$missing"
  # Another apt may be running: wait for its lock instead of failing.
  as_root apt-get -o DPkg::Lock::Timeout=300 update -qq >&2
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $missing >&2
}

# need_servers NAME... : the same for packages with a server, none of which is started.
need_servers() {
  policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then need_packages "$@"; return; fi
  dpkg-query -W "$@" >/dev/null 2>&1 && return 0
  as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
  need_packages "$@" && installed=0 || installed=$?
  as_root rm -f "$policy"
  return "$installed"
}

# need_rust [--yes] : finds cargo, or offers to install the pinned toolchain.
need_rust() {
  [ -d "${HOME:-}/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null && return 0
  pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  say "no Rust toolchain here; framevisor builds with Rust $pinned"
  case " $* " in
    *" --yes "*) ;;
    *)
      [ -t 0 ] || { say "run again with --yes to install it with rustup"; return 1; }
      printf 'install it with rustup now? [y/N] ' >&2
      read -r answer
      case "$answer" in y|Y|yes) ;; *) return 1 ;; esac
      ;;
  esac
  need_packages curl ca-certificates
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain "$pinned" >&2
  PATH="$HOME/.cargo/bin:$PATH"
}
