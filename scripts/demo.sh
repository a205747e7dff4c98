#!/usr/bin/env bash
# The demo: a real fit as a job, its log followed to the end, then what became of it.
set -euo pipefail
gravscope=${GRAVSCOPE:-.venv/bin/gravscope}
id=$(make --no-print-directory rep6-ab-fast-bg)
echo "demo: started $id; following its log (Ctrl-C leaves the job running)"
"$gravscope" logs -f "$id"
code=0
"$gravscope" wait "$id" || code=$?
"$gravscope" status "$id"
((code == 0)) || { "$gravscope" show "$id"; exit "$code"; }
echo "demo: the report is $PWD/server/public/reports/ws_vs_phieta_rep6.html"
