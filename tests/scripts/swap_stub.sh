#!/bin/sh
# One script under every tool's name. FAIL lists calls that fail: "swapon:2", "swapon:2+" (from then on), "swapon:*".
# SIGNAL=KILL:mv:1 sends that signal to swap_extend.sh once the call is done. mv and rm refuse files in use, as Linux
# does (EPERM).
# shellcheck disable=SC2153,SC3013 # FAIL comes from outside; every sh at hand knows -ef
tool=${0##*/}
PATH=${PATH#*:}
n=0
[ ! -e "$STATE/n.$tool" ] || read -r n <"$STATE/n.$tool"
n=$((n + 1))
echo $n >"$STATE/n.$tool"
echo "$tool:$n" >>"$STATE/calls"
for fail in $FAIL; do
  case $fail in
    "$tool:$n" | "$tool:*") echo "$tool: made to fail" >&2; exit 1 ;;
    "$tool:"*+) from=${fail#*:}; [ "$n" -lt "${from%+}" ] || { echo "$tool: made to fail" >&2; exit 1; } ;;
  esac
done
for last; do :; done
escaped() { printf %s "$1" | sed 's/ /\\040/g'; }
in_use() {
  while read -r name _; do
    case $name in *\\*) name=$(printf %b "$name") ;; esac
    [ "$name" -ef "$1" ] && return 0
  done <"$GRAVSCOPE_PROC_SWAPS"
  return 1
}
real() { $REAL "$tool" "$@"; }
refresh() { grep -e '^Filename' -e "^$FOLDER/" /proc/swaps >"$GRAVSCOPE_PROC_SWAPS"; }
case $tool in
  swapon)
    if [ -n "$REAL" ]; then
      real "$@"; status=$?; refresh
    elif in_use "$last" || [ "$(head -c "$PAGE" "$last" | tail -c 10 | tr -d '\0')" != SWAPSPACE2 ]; then
      echo "swapon: $last: Invalid argument" >&2; exit 255
    else
      size=$((($(stat -c %s "$last") - PAGE) / 1024))
      case $last in *"${SMALL:-none}") size=$((size - 2048)) ;; esac
      printf "%s file %s 0 1\n" "$(escaped "$last")" "$size" >>"$GRAVSCOPE_PROC_SWAPS"; status=0
    fi ;;
  swapoff)
    if [ -n "$REAL" ]; then
      real "$@"; status=$?; refresh
    else
      name=$(escaped "$last")
      status=1
      while read -r path rest; do
        if [ "$path" = "$name" ]; then status=0; else printf "%s %s\n" "$path" "$rest"; fi
      done <"$GRAVSCOPE_PROC_SWAPS" >"$STATE/swaps"
      cat "$STATE/swaps" >"$GRAVSCOPE_PROC_SWAPS"
    fi ;;
  mv | rm)
    for path; do in_use "$path" && { echo "$tool: $path: Operation not permitted" >&2; exit 1; }; done
    real "$@"; status=$? ;;
  chattr | df | id | btrfs | sudo) eval "$(cat "$STATE/do.$tool" 2>/dev/null)"; status=$? ;;
  sync) status=0 ;; # waiting for a real disk proves nothing here
  stat) if [ "$1" = -f ]; then echo "${FS:-ext2/ext3}"; else real "$@"; fi; status=$? ;;
  *) real "$@"; status=$? ;;
esac
sum=0
while read -r _ _ size _; do [ "$size" = Size ] || sum=$((sum + size)); done <"$GRAVSCOPE_PROC_SWAPS"
echo "$sum" >>"$STATE/totals"
case $SIGNAL in *":$tool:$n") kill -s "${SIGNAL%%:*}" "$(cat "$STATE/pid")" ;; esac
exit $status
