# Sourced by scripts whose checks play with clients of PyPI: wheels in a folder of the tests' cache.

# players_venv "MODULES" "PACKAGES" : makes sure that the modules can be imported and exports PLAYERS_PYTHON. What cannot
# be had is skipped by the rows that want it, with the reason.
players_venv() {
  players="${TMPDIR:-/tmp}/framevisor-test-cache/players"
  if ! "$players/bin/python" -c "import $1" 2> /dev/null; then
    say "installing $2 into $players"
    python3=/usr/bin/python3
    [ -x "$python3" ] || python3=python3
    # shellcheck disable=SC2086
    { { [ -x "$players/bin/python" ] || "$python3" -m venv --system-site-packages "$players"; } &&
      "$players/bin/pip" install --quiet $2 >&2; } || say "going on without"
  fi
  [ ! -x "$players/bin/python" ] || export PLAYERS_PYTHON="$players/bin/python"
}
