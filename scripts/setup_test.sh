#!/usr/bin/env bash
# setup_test.sh VENV: what the tests need besides Python: installed where we may (root on a Debian), named where not.
# A test whose tool is missing is skipped with its reason; under GRAVSCOPE_STRICT=1 that is a failure.
set -euo pipefail
venv=${1:?setup_test.sh: name the virtual environment}

# What apt-get is about to do, in its own figures, with everything that the packages need in turn.
how_much() {
  local plan
  plan=$(LC_ALL=C apt-get install --assume-no --no-install-recommends "$@" 2>/dev/null) || true
  local count size
  count=$(sed -n 's/.* \([0-9]*\) newly installed.*/\1/p' <<<"$plan")
  size=$(sed -n 's/^After this operation, \(.* [kMG]B\) of additional.*/\1/p' <<<"$plan")
  echo "$* (${count:-?} packages, ${size:-? MB})"
}

read -ra missing < <("$venv/bin/python" tests/needs.py)
if ((${#missing[@]})); then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    apt-get update -qq || true
    echo "setup: installing what the tests need: $(how_much "${missing[@]}"); make test-quick does without"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
      echo "setup: some of them could not be installed; their tests say so"
  else
    echo "setup: some tests are left out; for all of them type: sudo apt-get install ${missing[*]}"
  fi
fi
has_pystemd() { "$venv/bin/python" -c 'import pystemd.dbuslib' 2>/dev/null; }
# pystemd is built from source against libsystemd's headers
if ! has_pystemd && pkg-config --exists libsystemd 2>/dev/null; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pystemd>=0.13' ||
    echo "setup: pystemd could not be built; everything works without it, and its tests are skipped"
fi
