#!/usr/bin/env bash
# setup_venv.sh DIR: the project's virtual environment with everything that its targets need.
# It is made anew where it is incomplete (a set-up was interrupted), where it was moved, and where its Python is gone or is
# another one now; its packages are installed anew when the project's needs have changed. Otherwise nothing is done.
# On a bare Debian, python3-venv is installed when we may (root), and asked for when we may not.
set -euo pipefail
unset CDPATH             # with it, cd may go elsewhere, and print where
venv=${1:?setup_venv.sh: name the folder}
python=${PYTHON:-python3}
ready=$venv/.ready       # written last: what a whole one is made for
begun=$venv/.begun       # written first: what may be removed

say() { echo "setup: $*" >&2; }  # not where a target's own output goes
fail() {
  say "$*"
  exit 5
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
needs() { cat pyproject.toml scripts/setup_venv.sh | cksum; }
place() { (cd "$venv" && pwd -P); }

# Why there is something to do, in words; nothing where it is whole.
why() {
  local version sum size where
  [[ -e $venv ]] || { echo "making $venv"; return; }
  [[ -s $ready && -x $venv/bin/gravscope ]] || { echo "$venv is incomplete, its set-up was interrupted or is an old one; making it anew"; return; }
  read -r version sum size where <"$ready"
  [[ $where == "$(place)" ]] || { echo "$venv was moved; making it anew"; return; }
  [[ $version == "$(version_of "$venv/bin/python")" ]] || { echo "the Python of $venv is gone or another one now; making it anew"; return; }
  [[ "$sum $size" == "$(needs)" ]] || echo "the project needs other packages now; installing them into $venv"
}

# Removes what an earlier set-up left, and nothing else.
clear() {
  if [[ -n $(ls -A "$venv" 2>/dev/null) && ! -e $begun && ! -e $venv/pyvenv.cfg ]]; then
    fail "$venv is there and is no virtual environment; type: make setup VENV=ANOTHER_NAME"
  fi
  [[ -d $venv ]] || return 0
  # the mark goes last: this may be interrupted as well
  { : >"$begun" && find "$venv" -mindepth 1 -maxdepth 1 ! -name .begun -exec rm -rf {} + && rm -rf -- "$venv"; } 2>/dev/null ||
    fail "$venv cannot be removed; is it another user's? type: sudo rm -rf $venv"
}

need_python() {
  command -v "$python" >/dev/null || fail "$python is not installed; type: sudo apt-get install python3 python3-venv"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; Python 3.11 or later is needed; type: make PYTHON=/path/to/python3.11"
  "$python" -c 'import ensurepip, venv' 2>/dev/null && return
  ((EUID == 0)) && command -v apt-get >/dev/null || fail "python3-venv is missing; type: sudo apt-get install python3-venv"
  say "installing python3-venv"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null 9<&- ||
    fail "python3-venv could not be installed, see above; type: apt-get install python3-venv"
}

# What a tool has said before it failed, as one line of ours; its own last lines where that is not known.
explain() {
  case $1 in
    *"No space left on device"* | *"Disk quota exceeded"*)
      fail "the disk is full; make room, then type: make setup" ;;
    *"Temporary failure in name resolution"* | *"NewConnectionError"* | *"Network is unreachable"* | *"Connection refused"* | *"ProxyError"* | *"ConnectTimeoutError"* | *"Name or service not known"*)
      fail "no Python package index can be reached; connect to the network, then type: make setup" ;;
  esac
  tail -n 5 <<<"$1" >&2
  fail "it stopped there, see above; then type: make setup"
}

make_venv() {
  local said
  { mkdir -p "$venv" && : >"$begun"; } 2>/dev/null || fail "$venv cannot be written; is there room, and is the folder yours?"
  said=$("$python" -m venv "$venv" 2>&1) || explain "$said"
}

install() {
  local said
  said=$("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[science,dev]' 2>&1) || explain "$said"
  { echo "$(version_of "$venv/bin/python") $(needs) $(place)" >"$ready.new" && mv -f "$ready.new" "$ready"; } 2>/dev/null ||
    fail "the disk is full; make room, then type: make setup"
}

[[ -n $(why) ]] || exit 0
# one at a time: the second finds everything done
exec 9<.
flock -n 9 || { say "another set-up is at work here; waiting for it"; flock 9; }
reason=$(why)
[[ -n $reason ]] || exit 0
say "$reason (one to five minutes, 470 MB)"
if [[ $reason == *"needs other packages"* ]]; then
  rm -f "$ready"
else
  need_python
  clear
  make_venv
fi
install
