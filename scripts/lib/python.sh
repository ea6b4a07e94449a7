# Sourced by the scripts beside it: goes to the repository's root and finds a Python to start with.
# Sets PYTHON. A machine without one (Debian or Ubuntu, root) gets it from apt-get.

# shellcheck shell=sh

cd "$(dirname "$0")/.." || exit 6

recent_enough() {
  [ -n "$1" ] && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  for candidate in "${PYTHON:-}" /usr/bin/python3 "$(command -v python3)"; do
    if recent_enough "$candidate"; then
      PYTHON=$candidate
      return 0
    fi
  done
  return 1
}

if ! find_python; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing python3 with apt-get" >&2
    if ! said=$({ apt-get -q update && DEBIAN_FRONTEND=noninteractive \
      apt-get -q install -y --no-install-recommends python3 python3-venv; } 2>&1); then
      echo "$said" >&2
      exit 6
    fi
  fi
  if ! find_python; then
    echo "error: Python 3.11 or newer is needed; install python3 or set PYTHON=/path/to/python3" >&2
    exit 6
  fi
fi
