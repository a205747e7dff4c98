#!/usr/bin/env bash
# dispatch_bg.sh -n NAME [--cwd DIR] [--env "K=V …"] [--meta FILE] [--scope] -- CMD…
# Starts CMD, a shell string for bash, as a job, and prints job, PID, PGID, log, meta and scope.
# --scope demands a systemd scope; without it, one is taken where there is a user manager.
# --meta FILE makes FILE a link to the record. The same in one word: gravscope run -n NAME -c -- 'CMD'.
set -euo pipefail
usage() { sed -n '2,5s/^# //p' "$0"; }
die() { echo "dispatch_bg.sh: $1" >&2; exit 2; }
needed() { (($# > 1)) || die "$1 needs a value; type: dispatch_bg.sh --help"; }

name='' meta='' options=()
while (($#)); do
  case $1 in
    -n | --name) needed "$@"; name=$2; shift 2 ;;
    --cwd) needed "$@"; options+=(--cwd "$2"); shift 2 ;;
    --env) needed "$@"; read -ra pairs <<<"$2"; for pair in "${pairs[@]}"; do options+=(-e "$pair"); done; shift 2 ;;
    --meta) needed "$@"; meta=$2; shift 2 ;;
    --scope) options+=(--launcher scope); shift ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *) die "unknown option $1; type: dispatch_bg.sh --help" ;;
  esac
done
[[ -n $name ]] || die "-n NAME is missing; type: dispatch_bg.sh --help"
(($#)) || die "no command; type: dispatch_bg.sh -n $name -- CMD"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
gravscope=${GRAVSCOPE:-$here/.venv/bin/gravscope}
command -v "$gravscope" >/dev/null || gravscope=gravscope
command -v "$gravscope" >/dev/null || { echo "dispatch_bg.sh: gravscope is not installed; type: make setup" >&2; exit 5; }

id=$("$gravscope" run -n "$name" "${options[@]}" --shell -- "$*")
record=$("$gravscope" show --json "$id")
# the record is flat, a key a line
value() { sed -n "s/^  \"$1\": \"\{0,1\}\(.*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" <<<"$record"; }
file=$("$gravscope" path "$id")
if [[ -n $meta ]]; then
  mkdir -p "$(dirname "$meta")" && ln -sfn "$file" "$meta"
fi
unit=$(value unit)
printf '%s\n' "job   $id" "PID   $(value pid)" "PGID  $(value pgid)" "log   $(value log_file)" "meta  ${meta:-$file}"
[[ $unit == null ]] && unit='none (setsid + nohup)'
echo "scope $unit"
