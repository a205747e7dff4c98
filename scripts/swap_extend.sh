#!/bin/bash
# swap_extend.sh -s SIZE [-f FILE] [--dry-run]: makes or grows a swap file, switches it on, and enters it in /etc/fstab.
#
# What holds:
# - SIZE is the size of FILE. Where all swap together already is that large, nothing is done. Swap on zram does not
#   count: it lies in the very memory that it is to relieve.
# - At no moment is there less swap than before, not even after a crash. A file in use as swap can be neither renamed
#   nor replaced (Linux refuses with EPERM, seen on 6.18, ext4 and xfs), so growing takes a bridge: a second file, slightly
#   larger than the old one, holds the swap while FILE is exchanged. All that can run out of room, and a trial of the
#   new file, comes before the old one is touched. Should the new one fail after that, the bridge stays on.
# - /etc/fstab is only ever replaced as a whole, and names FILE throughout: at every moment there is a sound file of that
#   name for the next boot. An entry that is there already is left as it is; its priority is used.
# - What an interrupted run left behind is put right by the next one.
#
# Needs bash, coreutils, util-linux; for btrfs: e2fsprogs (chattr) or btrfs-progs 6.1 (`btrfs filesystem mkswapfile`).
# For tests only: GRAVSCOPE_FSTAB and GRAVSCOPE_PROC_SWAPS stand in for /etc/fstab and /proc/swaps.
set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin # where `su` and cron leave them out
export LC_ALL=C

readonly FSTAB=${GRAVSCOPE_FSTAB:-/etc/fstab} SWAPS=${GRAVSCOPE_PROC_SWAPS:-/proc/swaps}
readonly MIB=$((1 << 20)) DEFAULT_PRIORITY=10 # above what the kernel hands out itself, below zram's usual 100
file=/swap.img size='' dry_run='' was_on='' created='' temporary=''

usage() {
  cat <<'U'
usage: swap_extend.sh -s SIZE [-f FILE] [--dry-run]

Makes FILE a swap file of SIZE, or grows it to SIZE; switches it on and enters it in /etc/fstab.
Does nothing where the machine has that much swap already (zram left out).

  -s SIZE      such as 8G or 512M (K, M, G, T, P are powers of 1024); rounded up to a multiple of 1M
  -f FILE      the swap file (/swap.img)
  --dry-run    print what would be done, and do nothing
  -h, --help   this text

Exit status: 0 done, 1 a step failed (there is no less swap than before), 2 usage, 5 this machine cannot.
U
}

die() { # STATUS MESSAGE
  printf 'swap_extend: %s\n' "$2" >&2
  exit "$1"
}

say() { printf 'swap_extend: %s\n' "$1"; }

# Runs a command that changes something; a dry run prints it instead.
change() {
  if [ -n "$dry_run" ]; then
    printf 'would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

parse_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      -s | -f)
        [ $# -ge 2 ] || die 2 "$1 needs a value"
        if [ "$1" = -s ]; then size=$2; else file=$2; fi
        shift
        ;;
      --dry-run) dry_run=1 ;;
      -h | --help) usage && exit 0 ;;
      *) die 2 "unknown argument: $1 (see --help)" ;;
    esac
    shift
  done
  [ -n "$size" ] || die 2 'the size is missing: -s 8G (see --help)'
}

# "8G" to bytes, rounded up to whole MiB.
parse_size() {
  local number unit
  [[ $1 =~ ^([0-9]{1,18})([KMGTP]?)$ ]] || die 2 "not a size: '$1' (such as 8G or 512M)"
  number=$((10#${BASH_REMATCH[1]}))
  case ${BASH_REMATCH[2]} in
    K) unit=$((1 << 10)) ;;
    M) unit=$MIB ;;
    G) unit=$((1 << 30)) ;;
    T) unit=$((1 << 40)) ;;
    P) unit=$((1 << 50)) ;;
    *) unit=1 ;;
  esac
  # Bash counts in 64 bits with a sign; half of that leaves room for sums.
  [ "$number" -le $(((1 << 62) / unit)) ] || die 2 "that is too large: $1"
  size=$(((number * unit + MIB - 1) / MIB * MIB))
  [ $((number * unit)) -ge "$MIB" ] || die 2 "that is too small to be of use as swap: $1 (at least 1M)"
}

# The name in /proc/swaps and /etc/fstab: blanks and backslashes are written in octal there (fstab(5)).
escaped() {
  local name=${1//\\/\\134}
  name=${name// /\\040}
  printf '%s' "${name//$'\t'/\\011}"
}

parse_file() {
  local directory
  case $file in
    */ | */. | */.. | '') die 2 "not a file's name: '$file'" ;;
    *[[:cntrl:]]*) die 2 'the name of the file has control characters' ;;
    /*) ;;
    *) die 2 "the file needs its full path, as /etc/fstab does: $file" ;;
  esac
  directory=$(readlink -e -- "${file%/*}/") || die 2 "there is no directory ${file%/*}/"
  file=${directory%/}/${file##*/}
  readonly file new=$file.gravscope-new bridge=$file.gravscope-bridge
}

# What the machine has now

is_on() { ENTRY=$(escaped "$1") awk 'NR > 1 && $1 == ENVIRON["ENTRY"] { on = 1 } END { exit !on }' "$SWAPS"; }

# All swap but zram, in bytes. The kernel leaves out the header page of each area; it is added again, so that an 8G file
# counts as 8G.
total_swap() {
  awk -v page="$(getconf PAGESIZE)" \
    'NR > 1 && $1 !~ /^\/dev\/zram/ { sum += $3 * 1024 + page } END { printf "%.0f\n", sum }' "$SWAPS"
}

# How much of a file is in use as swap, in KiB.
kib_on() { ENTRY=$(escaped "$1") awk '$1 == ENVIRON["ENTRY"] { kib = $3 } END { print kib + 0 }' "$SWAPS"; }

# A little more than the old file: where the kernel leaves out uneven pages, another file of the same size may hold less.
bridge_size() { printf '%s\n' $(($(stat -c %s -- "$file") + MIB)); }

# The file's own size is asked too, as the kernel leaves out pages that lie unevenly on the disk (ext4 with 1 KiB blocks).
has_enough() {
  [ "$(total_swap)" -ge "$size" ] || { is_on "$file" && [ "$(stat -c %s -- "$file")" -ge "$size" ]; }
}

has_entry() {
  [ -e "$FSTAB" ] && ENTRY=$(escaped "$file") awk '$1 == ENVIRON["ENTRY"] && $3 == "swap" { found = 1 }
    END { exit !found }' "$FSTAB"
}

# Switches the file on as its entry will at the next boot: with the priority given there, or without one; without an
# entry, as the entry to come will.
switch_on() {
  local wanted=$DEFAULT_PRIORITY
  if has_entry; then
    wanted=$(ENTRY=$(escaped "$file") awk '$1 == ENVIRON["ENTRY"] && match($4, /(^|,)pri=[0-9]+/) {
      print substr($4, RSTART, RLENGTH); exit }' "$FSTAB")
    wanted=${wanted##*=}
  fi
  change swapon ${wanted:+-p "$wanted"} -- "$file"
}

has_signature() { [ "$(head -c "$(getconf PAGESIZE)" -- "$1" | tail -c 10 | tr -d '\0')" = SWAPSPACE2 ]; }

refuse_odd_files() {
  local name
  for name in "$file" "$new" "$bridge"; do
    [ ! -L "$name" ] || die 5 "$name is a symbolic link; a swap file must be a file of its own"
    [ ! -e "$name" ] || [ -f "$name" ] || die 5 "$name is not a regular file"
  done
  if [ -e "$file" ] && ! is_on "$file"; then
    if [ ! -r "$file" ]; then
      say "cannot look into $file without being root; taking it for a swap file"
    elif ! has_signature "$file"; then
      die 5 "$file exists and is not a swap file; it is left alone"
    fi
  fi
}

check_filesystem() {
  fs=$(stat -f -c %T -- "${file%/*}/") || die 1 "cannot tell the filesystem of ${file%/*}/"
  case $fs in
    zfs | tmpfs | ramfs | overlayfs | aufs | nfs* | smb* | cifs | fuse* | v9fs | squashfs | ecryptfs | isofs | msdos)
      die 5 "swap files do not work on $fs; give a path on ext4, xfs or btrfs with -f"
      ;;
    btrfs) say 'btrfs: the file is made without copy-on-write; it must be on one device, and its subvolume has no snapshots' ;;
  esac
}

# What is left free: a twentieth of the disk, at most 1 GiB, since a full disk is no better than a full memory.
check_room() {
  local needed=$size numbers available whole margin
  is_on "$file" && needed=$((needed + $(bridge_size)))
  numbers=$(df -B1 --output=avail,size -- "${file%/*}/") || die 1 "cannot tell the free room of ${file%/*}/"
  read -r available whole <<<"${numbers##*$'\n'}"
  [[ $available =~ ^[0-9]+$ && $whole =~ ^[0-9]+$ ]] || die 1 "cannot read what df says: $numbers"
  margin=$((whole / 20 < 1 << 30 ? whole / 20 : 1 << 30))
  [ "$available" -ge $((needed + margin)) ] ||
    die 5 "not enough room in ${file%/*}/: $((needed / MIB))M needed and $((margin / MIB)) to stay free, $((available / MIB)) there"
}

become_root() {
  [ "$(id -u)" -ne 0 ] || return 0
  [ -z "$dry_run" ] || return 0 # looking needs no rights
  command -v sudo >/dev/null || die 5 'this needs root, and there is no sudo'
  exec sudo -- "$BASH" -- "$(readlink -f -- "$0")" "$@"
}

# Making a swap file

allocate() { # PATH BYTES HOW
  rm -f -- "$1" || return
  if [ "$fs" = btrfs ] && [ "$3" = fast ] && btrfs filesystem mkswapfile --help >/dev/null 2>&1; then
    btrfs filesystem mkswapfile --size "$2" -- "$1" >/dev/null
    return
  fi
  (umask 077 && : >"$1") || return
  # Copy-on-write can be switched off only while a file is empty (btrfs(5)).
  [ "$fs" != btrfs ] || chattr +C -- "$1" || return
  if [ "$3" = fast ]; then
    fallocate -l "$2" -- "$1" || return
  else
    dd if=/dev/zero of="$1" bs="$MIB" count=$(($2 / MIB)) conv=notrunc status=progress || return
  fi
  chmod 600 -- "$1" && mkswap -- "$1" >/dev/null
}

# Makes a swap file and proves that the kernel takes it. Some filesystems allocate by leaving holes, which swapon refuses
# (xfs before Linux 4.18, f2fs): then it is written out in full.
make_swap() { # PATH BYTES
  local how
  if [ -n "$dry_run" ]; then
    say "would make a swap file of $(($2 / MIB))M, mode 0600, and try it: $1"
    return
  fi
  for how in fast slow; do
    if allocate "$1" "$2" "$how" && sync -- "$1" && swapon -p 0 -- "$1"; then
      swapoff -- "$1"
      return
    fi
    is_on "$1" && return 1
    [ "$how" = slow ] || say "$1: the quick way failed; writing it out in full"
  done
  return 1
}

enter_in_fstab() {
  local target entry
  has_entry && return
  entry="$(escaped "$file") none swap sw,pri=$DEFAULT_PRIORITY 0 0"
  if [ -n "$dry_run" ]; then
    say "would add to $FSTAB: $entry"
    return
  fi
  target=$(readlink -f -- "$FSTAB") || return # where it is a link, the link stays
  temporary=$(mktemp -- "$target.XXXXXX") || return
  if [ -e "$target" ]; then
    cp --preserve=all -- "$target" "$temporary" || return
    # A last line without an end would swallow the entry.
    [ -z "$(tail -c 1 -- "$target")" ] || entry=$'\n'$entry
  else
    chmod 644 -- "$temporary" || return
  fi
  printf '%s\n' "$entry" >>"$temporary" && sync -- "$temporary" && mv -fT -- "$temporary" "$target"
}

# Growing, and getting out of every half-way state

# Brings back a state in which FILE serves, whatever was done before: after a failure, a signal, or an earlier run's
# crash. It looks at what is there, not at what was meant. An inactive FILE is sound at every moment.
settle() {
  local name bad=''
  [ -z "$was_on" ] || is_on "$file" || switch_on || bad=1
  for name in "$new" "$bridge"; do
    # The bridge stays while nothing else carries the load.
    [ -z "$bad" ] && is_on "$name" && { swapoff -- "$name" || bad=1; }
    [ ! -e "$name" ] || is_on "$name" || rm -f -- "$name" || bad=1
  done
  # A file that this run made, and that came to nothing.
  [ -z "$created" ] || is_on "$file" || rm -f -- "$file" || bad=1
  [ -z "$temporary" ] || rm -f -- "$temporary"
  [ -z "$bad" ] || say "not everything could be put back: see 'swapon --show', and run this again" >&2
  [ -z "$bad" ]
}

on_exit() {
  local status=$?
  # A second Ctrl-C must not stop the putting back.
  trap '' INT TERM HUP
  trap - EXIT
  [ "$status" -eq 0 ] || settle
  exit "$status"
}

# A file that is large enough already, and only switched off.
use_as_it_is() {
  [ -e "$file" ] && [ -z "$was_on" ] && [ "$(stat -c %s -- "$file")" -ge "$size" ] &&
    change chmod 600 -- "$file" && switch_on
}

put_in_place() {
  make_swap "$new" "$size" || die 1 "could not make a swap file of $((size / MIB))M"
  if [ -n "$was_on" ]; then
    make_swap "$bridge" "$(bridge_size)" || die 1 'could not make the bridge'
    # Before the old file goes, as the bridge is to take its pages.
    change swapon -p 0 -- "$bridge" || die 1 'could not switch the bridge on'
    [ "$(kib_on "$bridge")" -ge "$(kib_on "$file")" ] || [ -n "$dry_run" ] || die 1 'the bridge came out too small'
    change swapoff -- "$file" || die 1 "could not switch the old $file off"
  fi
  [ -e "$file" ] || created=1
  change mv -fT -- "$new" "$file" || die 1 "could not put $file in its place"
  switch_on || die 1 "could not switch $file on"
  [ -z "$was_on" ] || change swapoff -- "$bridge" || die 1 'could not switch the bridge off'
  change rm -f -- "$bridge" || die 1 'could not remove the bridge'
}

main() {
  local leftover
  parse_arguments "$@"
  parse_size "$size"
  parse_file
  become_root "$@"
  [ -r "$SWAPS" ] || die 5 "this kernel has no swap: $SWAPS cannot be read"
  refuse_odd_files
  # Two runs at once would pull the bridge from under each other.
  exec 9<"${file%/*}/" || die 1 "${file%/*}/ cannot be read"
  flock -n 9 || die 1 'another run is at work on this directory'
  for leftover in "$new" "$bridge"; do
    [ -e "$leftover" ] || continue
    [ -z "$dry_run" ] || die 5 "an interrupted run left $leftover; run this without --dry-run to put it right"
  done
  if is_on "$file" || is_on "$bridge"; then was_on=1; fi
  if [ -z "$dry_run" ]; then
    trap on_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    settle || exit 1
  fi
  if has_enough; then
    is_on "$file" && { enter_in_fstab || die 1 "could not enter $file in $FSTAB"; }
    say "nothing to make: the machine has $(($(total_swap) / MIB))M of swap"
    return
  fi
  check_filesystem
  use_as_it_is || { check_room && put_in_place; }
  enter_in_fstab || die 1 "$file is on, but could not be entered in $FSTAB; run this again"
  [ -n "$dry_run" ] || say "$file: $((size / MIB))M, on, and in $FSTAB"
}

main "$@"
