#!/usr/bin/env bash
# cancel_job.sh -n NAME | -f META.json
# Ends the newest job of that name, or the job of that record; also one that the older dispatcher started.
# The same in one word: gravscope cancel NAME.
set -euo pipefail
die() { echo "cancel_job.sh: $1; type: cancel_job.sh -n NAME, or -f META.json" >&2; exit 2; }

job=''
while (($#)); do
  case $1 in
    -n | --name) (($# > 1)) || die "-n needs a name"; job=$2; shift 2 ;;
    -f | --file)
      (($# > 1)) || die "-f needs a file"
      [[ -e $2 ]] || { echo "cancel_job.sh: $2: no such file" >&2; exit 3; }
      job=$(realpath -- "$2"); shift 2 ;;
    -h | --help) sed -n '2,4s/^# //p' "$0"; exit 0 ;;
    *) die "unknown option $1" ;;
  esac
done
[[ -n $job ]] || die "which job"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
gravscope=${GRAVSCOPE:-$here/.venv/bin/gravscope}
command -v "$gravscope" >/dev/null || gravscope=gravscope
command -v "$gravscope" >/dev/null || { echo "cancel_job.sh: gravscope is not installed; type: make setup" >&2; exit 5; }
exec "$gravscope" cancel -- "$job"
