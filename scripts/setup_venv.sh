#!/usr/bin/env bash
# setup_venv.sh DIR: the project's virtual environment with everything that its targets need.
# On a bare Debian, python3-venv is installed when we may (root), and asked for when we may not.
set -euo pipefail
venv=${1:?setup_venv.sh: name the folder}
python=${PYTHON:-python3}

command -v "$python" >/dev/null || { echo "setup: $python is not installed; type: apt-get install python3 python3-venv" >&2; exit 5; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "setup: $("$python" --version) is too old; Python 3.11 or later is needed; type: make PYTHON=/path/to/python3.11" >&2; exit 5; }

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    echo "setup: installing python3-venv"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  else
    echo "setup: python3-venv is missing; type: sudo apt-get install python3-venv" >&2
    exit 5
  fi
fi

echo "setup: making $venv (some minutes the first time)"
[[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[science,dev]'
