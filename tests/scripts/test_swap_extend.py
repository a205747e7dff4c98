"""scripts/swap_extend.sh: what it makes, what it leaves alone, what it refuses; with stubs, and for real."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import leave_out, needing
from tests.scripts.swap_machine import FSTAB, HEADER, MIB, PAGE, SCRIPT, Machine, grown


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without swap, with an fstab, and with room on its disk."""
    return Machine(tmp_path)


def test_it_makes_one(machine: Machine) -> None:
    """From nothing: a file of that size, mode 0600, on, in fstab once; what fstab had is untouched."""
    done = machine.run("-s", "2M")
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.is_done(2)


def test_it_grows_one(tmp_path: Path) -> None:
    """Growing exchanges the file, never with less swap on than before, and leaves nothing behind."""
    machine = grown(tmp_path)
    before = machine.total()
    done = machine.run("-s", "4M")
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.is_done(4)
    assert machine.least() == before


def unchanged(path: Path) -> tuple[int, ...]:
    """What of a file is another once anybody has changed it; that it was read (its atime) is no change."""
    found = path.stat()
    return found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def test_again_does_nothing(tmp_path: Path) -> None:
    """Where that much swap is on already, a second run changes nothing at all, for that size and any smaller."""
    machine = grown(tmp_path)
    before = [unchanged(machine.file), unchanged(machine.fstab)]
    for size in ("2M", "1M", "2048K", "2097152"):
        done = machine.run("-s", size)
        assert (done.returncode, machine.calls()) == (0, [])
        assert "nothing to make" in done.stdout
    assert [unchanged(machine.file), unchanged(machine.fstab)] == before


def test_other_swap_counts_but_zram_does_not(machine: Machine) -> None:
    """Swap of any other kind counts towards the size; zram lies in memory and does not."""
    machine.swaps.write_text(f"{HEADER}/dev/sda2 partition {4096 - PAGE // 1024} 0 -2\n")
    assert machine.run("-s", "4M").returncode == 0
    assert not machine.file.exists()
    machine.swaps.write_text(f"{HEADER}/dev/zram0 partition 999999 0 100\n")
    assert machine.run("-s", "2M").returncode == 0
    assert str(machine.file) in machine.on()


def test_a_missing_entry_is_made_up_for(tmp_path: Path) -> None:
    """A file that is on and not in fstab, as a crash leaves it, is entered by the next run."""
    machine = grown(tmp_path)
    machine.fstab.write_text(FSTAB)
    assert machine.run("-s", "2M").returncode == 0
    assert machine.is_done(2)


def test_a_sound_file_that_is_off_is_switched_on(tmp_path: Path) -> None:
    """A swap file that is large enough and only off is switched on as it is."""
    machine = grown(tmp_path)
    machine.swaps.write_text(HEADER)
    inode = machine.file.stat().st_ino
    assert machine.run("-s", "2M").returncode == 0
    assert machine.is_done(2)
    assert machine.file.stat().st_ino == inode


@pytest.mark.parametrize(
    "entry", ["{} none swap sw 0 0", "  {}\t\tnone \t swap\tsw,nofail  0\t0", "{} swap swap defaults,pri=7"]
)
def test_an_entry_is_recognised(machine: Machine, entry: str) -> None:
    """An entry for the file stays as it is, however it is spaced, and none is added."""
    text = FSTAB + entry.format(machine.file) + "\n"
    machine.fstab.write_text(text)
    assert machine.run("-s", "2M").returncode == 0
    assert machine.fstab.read_text() == text


@pytest.mark.parametrize(
    "line", ["#{} none swap sw 0 0", "# {} none swap sw 0 0", "{}2 none swap sw 0 0", "/dev/x {} swap"]
)
def test_no_entry_is_recognised_as_such(machine: Machine, line: str) -> None:
    """A line that is commented out, or that is of another file, is no entry."""
    text = FSTAB + line.format(machine.file) + "\n"
    machine.fstab.write_text(text)
    assert machine.run("-s", "2M").returncode == 0
    assert machine.fstab.read_text() == text + machine.entry


def test_fstab_keeps_its_mode_link_and_last_line(machine: Machine) -> None:
    """Fstab keeps its mode, stays a link if it is one, and a last line without an end does not swallow the entry."""
    target = machine.root / "etc-fstab"
    target.write_text(FSTAB.rstrip("\n"))
    target.chmod(0o640)
    machine.fstab.unlink()
    machine.fstab.symlink_to(target)
    assert machine.run("-s", "2M").returncode == 0
    assert machine.is_done(2)
    assert machine.fstab.is_symlink()
    assert target.stat().st_mode & 0o7777 == 0o640


def test_an_odd_name(machine: Machine) -> None:
    """Blanks in the name are written to fstab as fstab(5) wants them, and the entry is found again."""
    file = machine.disk / "my swap"
    for size in ("2M", "2M", "4M"):
        assert machine.run("-s", size, "-f", str(file)).returncode == 0
        assert machine.fstab.read_text() == f"{FSTAB}{machine.disk}/my\\040swap none swap sw,pri=10 0 0\n"
        assert machine.on() == [f"{machine.disk}/my\\040swap"]


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_dry_run_does_nothing(machine: Machine, user: str) -> None:
    """A dry run says what would be done, as root or not, and does none of it."""
    machine.does("id", f"echo {user}")
    done = machine.run("-s", "2M", "--dry-run")
    assert (done.returncode, machine.calls()) == (0, [])
    assert "would make a swap file of 2M" in done.stdout
    assert f"would add to {machine.fstab}: {machine.entry}" in done.stdout
    assert (list(machine.disk.iterdir()), machine.fstab.read_text()) == ([], FSTAB)


SIZES = [
    "",
    "0",
    "0G",
    "10X",
    "-5G",
    "8g",
    "8GB",
    "1.5G",
    "50%",
    "infinity",
    "9999P",
    "99999999999999999999",
    "1023K",
    "8 G",
]


@pytest.mark.parametrize(
    "arguments",
    [[], ["-s"], ["--nonsense"], ["8G"], ["-s", "2M", "-f", "relative"], ["-s", "2M", "-f", "/no/such/dir/f"]]
    + [["-s", size] for size in SIZES]
    + [["-s", "2M", "-f", name] for name in ("", "/", "/tmp/", "/tmp/..", "/tmp/a\nb")],
)
def test_usage(machine: Machine, arguments: list[str]) -> None:
    """Nonsense is refused with exit status 2 and one line, before anything is touched."""
    done = machine.run(*arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert machine.calls() == []


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(machine: Machine, option: str) -> None:
    """Help goes to standard output, with exit status 0."""
    done = machine.run(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: swap_extend.sh -s SIZE")


def refused(machine: Machine, words: str, **environment: str) -> None:
    """Assert that 4M of swap is refused with status 5 and one line, and nothing touched."""
    done = machine.run("-s", "4M", **environment)
    assert (done.returncode, machine.calls()) == (5, [])
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert machine.fstab.read_text() == FSTAB


@pytest.mark.parametrize("fs", ["zfs", "tmpfs", "overlayfs", "nfs", "nfs4", "fuseblk", "ramfs"])
def test_filesystems_without_swap_files(machine: Machine, fs: str) -> None:
    """On a filesystem that cannot hold swap files it says so and touches nothing."""
    refused(machine, f"swap files do not work on {fs}", FS=fs)


@pytest.mark.parametrize(("available", "whole"), [(3, 100), (8, 100), (4 + 1023, 100000)])
def test_no_room(machine: Machine, available: int, whole: int) -> None:
    """Where the disk would be left with less than a twentieth (at most 1 GiB) free, it is refused."""
    machine.does("df", f"echo Avail Size; echo {available * MIB} {whole * MIB}")
    refused(machine, "not enough room")


def test_room_for_the_bridge_counts(tmp_path: Path) -> None:
    """Growing also needs room for as much as the old file holds."""
    machine = grown(tmp_path)
    machine.does("df", f"echo Avail Size; echo {6 * MIB} 0")
    assert machine.run("-s", "4M").returncode == 5
    machine.does("df", f"echo Avail Size; echo {7 * MIB} 0")
    assert machine.run("-s", "4M").returncode == 0


def test_odd_files_are_left_alone(machine: Machine) -> None:
    """A symbolic link, a folder, or a file that is no swap file in the file's place is refused and left alone."""
    other = machine.root / "other"
    other.write_text("precious")
    machine.file.symlink_to(other)
    refused(machine, "is a symbolic link")
    machine.file.unlink()
    machine.file.mkdir()
    refused(machine, "is not a regular file")
    machine.file.rmdir()
    machine.file.write_text("precious")
    refused(machine, "is not a swap file")
    assert (other.read_text(), machine.file.read_text()) == ("precious", "precious")


def test_root_is_needed(machine: Machine) -> None:
    """Without root it goes on through sudo with the same arguments; without sudo it refuses."""
    machine.does("id", "echo 1000")
    machine.does("sudo", 'printf "%s\\n" "$@"')
    done = machine.run("-s", "2M")
    bash = shutil.which("bash")
    assert done.stdout.splitlines()[0] == "--"
    assert Path(done.stdout.splitlines()[1]).name == Path(str(bash)).name
    assert done.stdout.splitlines()[2:] == ["--", str(SCRIPT), "-s", "2M", "-f", str(machine.file)]
    few = machine.root / "few"
    few.mkdir()
    for tool in ("awk", "bash", "cat", "readlink", "sh"):
        (few / tool).symlink_to(str(shutil.which(tool)))
    (machine.root / "bin" / "sudo").unlink()
    if shutil.which("sudo", path="/usr/sbin:/sbin"):
        leave_out("needs a machine without /usr/sbin/sudo, where the script always looks")
    done = machine.run("-s", "2M", PATH=f"{machine.root / 'bin'}:{few}")
    assert (done.returncode, done.stderr) == (5, "swap_extend: this needs root, and there is no sudo\n")


def test_btrfs(machine: Machine) -> None:
    """On btrfs copy-on-write goes off while the file is empty, or btrfs makes the file; and it says the caveat."""
    machine.does("chattr", '[ "$1" = +C ] && [ ! -s "$3" ]')
    machine.does("btrfs", "exit 1")
    done = machine.run("-s", "2M", FS="btrfs")
    assert (done.returncode, machine.is_done(2)) == (0, True)
    assert "no snapshots" in done.stdout
    assert "chattr:1" in machine.calls()
    machine.does("btrfs", '[ "$3" = --help ] || { fallocate -l "$4" "$6"; chmod 600 "$6"; mkswap "$6"; }')
    assert machine.run("-s", "4M", FS="btrfs").returncode == 0
    assert "chattr:1" not in machine.calls()
    assert machine.is_done(4)


@pytest.mark.parametrize("fail", ["fallocate:*", "swapon:1", "mkswap:1"])
def test_the_slow_way(machine: Machine, fail: str) -> None:
    """Where allocating does not work, or leaves what swapon refuses, the file is written out, with progress shown."""
    done = machine.run("-s", "2M", FAIL=fail)
    assert done.returncode == 0
    assert machine.is_done(2)
    assert "dd:1" in machine.calls()
    assert "copied" in done.stderr


FILE_SYSTEMS = [pytest.param(kind, marks=pytest.mark.needs(f"mkfs.{kind}")) for kind in ("ext4", "xfs", "btrfs")]


@pytest.fixture(params=FILE_SYSTEMS)
@needing("mount")
def real_machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose disk is a real filesystem in a loop device, and whose swapon is the kernel's."""
    kind = request.param
    machine = Machine(tmp_path, real=True)
    image = tmp_path / "image"
    with image.open("wb") as stream:
        stream.truncate(400 * MIB)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, machine.disk], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        leave_out(f"needs a kernel with {kind} and loop devices: {mounted.stderr.strip()}")
    try:
        yield machine
    finally:
        for path in machine.disk.iterdir():
            subprocess.run(["swapoff", path], capture_output=True, check=False)
        subprocess.run(["umount", machine.disk], check=True)


def test_for_real(real_machine: Machine) -> None:
    """On ext4, xfs and btrfs the kernel takes the file, keeps it on while it grows, and a second run does nothing."""
    machine = real_machine
    for size in (16, 32):
        before = machine.total()
        done = machine.run("-s", f"{size}M")
        assert done.returncode == 0, done
        assert f"{machine.file} " in Path("/proc/swaps").read_text()
        assert machine.least() >= before
        assert machine.on() == [str(machine.file)]
        assert machine.file.stat().st_size == size * MIB
        assert machine.fstab.read_text() == FSTAB + machine.entry
        machine.run("-s", f"{size}M")
        assert machine.calls() == []
