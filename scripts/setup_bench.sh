#!/usr/bin/env bash
# setup_bench.sh: what the benchmark measures beside gravscope, and with: installed where we may (root on a Debian), named
# where not. A peer that is missing is left out of the table, which says so.
set -euo pipefail

declare -A package_of=(
  [tsp]=task-spooler [nq]=nq [strace]=strace
  [systemd-run]=systemd [dbus-daemon]=dbus-user-session [setsid]=util-linux [nohup]=coreutils
)
missing=()
for tool in "${!package_of[@]}"; do
  command -v "$tool" >/dev/null || missing+=("${package_of[$tool]}")
done

if ((${#missing[@]})); then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    echo "setup: installing ${missing[*]}" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
      echo "setup: some of them could not be installed; the table leaves them out" >&2
  else
    echo "setup: the whole table needs: sudo apt-get install ${missing[*]}" >&2
  fi
fi
