#!/usr/bin/env bash
# setup_test.sh VENV: what the tests need besides Python: installed where we may (root on a Debian), named where not.
# A test whose tool is missing is skipped with its reason; under GRAVSCOPE_STRICT=1 that is a failure.
set -euo pipefail
venv=${1:?setup_test.sh: name the virtual environment}

declare -A package_of=(
  [linux.uml]=user-mode-linux [insmod]=kmod [tmux]=tmux [jq]=jq [pkg-config]=pkg-config [gcc]=gcc
  [systemd-run]=systemd [dbus-daemon]=dbus-user-session [setpriv]=util-linux [ps]=procps [git]=git
  [mkfs.btrfs]=btrfs-progs [mkfs.xfs]=xfsprogs [mkfs.ext4]=e2fsprogs
  [less]=less [vim.tiny]=vim-tiny [zsh]=zsh [fish]=fish [mandoc]=mandoc
)
missing=()
for tool in "${!package_of[@]}"; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || missing+=("${package_of[$tool]}")
done
# headers come apart from what they belong to: the C library, and Debian's Python
[[ -e /usr/include/stdlib.h ]] || missing+=(libc6-dev)
headers=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[[ -e $headers/Python.h || $headers != /usr/include/* ]] || missing+=(python3-dev)
has_pystemd() { "$venv/bin/python" -c 'import pystemd.dbuslib' 2>/dev/null; }
has_pystemd || pkg-config --exists libsystemd 2>/dev/null || missing+=(libsystemd-dev)

if ((${#missing[@]})); then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    echo "setup: installing ${missing[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
      echo "setup: some of them could not be installed; their tests say so"
  else
    echo "setup: some tests need: sudo apt-get install ${missing[*]}"
  fi
fi
# pystemd is built from source against libsystemd's headers
if ! has_pystemd && pkg-config --exists libsystemd 2>/dev/null; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pystemd>=0.13' ||
    echo "setup: pystemd could not be built; everything works without it, and its tests are skipped"
fi
