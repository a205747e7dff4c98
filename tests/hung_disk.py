"""`hung_disk.py FOLDER`: mounts on FOLDER a file system that answers nothing, as a network disk whose server is gone.

Whoever asks it for a file waits, and once it is sent SIGKILL does so in uninterruptible sleep (state D), until this
process ends. Says `ready` when it is mounted and `asked` when somebody waits. Needs root and /dev/fuse (fuse(4)).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# <linux/fuse.h>: what a request begins with, and an answer; the operations that are known here
REQUEST, ANSWER = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
LOOKUP, INIT = 1, 26
VERSION = (7, 31)


def mount(folder: str) -> int:
    """The device through which the kernel asks."""
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other"
    if libc.mount(b"hung", folder.encode(), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    return device


def serve(device: int) -> None:
    """Answers the first question, which version of the protocol is spoken, and no other."""
    while True:
        request = os.read(device, 1 << 18)
        _length, operation, unique, *_rest = REQUEST.unpack_from(request)
        if operation == INIT:
            told = struct.pack("=IIIIHHII", *VERSION, 0, 0, 0, 0, 4096, 0).ljust(64, b"\0")
            os.write(device, ANSWER.pack(ANSWER.size + len(told), 0, unique) + told)
            print("ready", flush=True)
        elif operation == LOOKUP:
            print("asked", flush=True)


if __name__ == "__main__":
    serve(mount(sys.argv[1]))
