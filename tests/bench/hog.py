"""hog.py FIFO: waits until something writes to it, and then takes 600 MB."""

import sys
import time

with open(sys.argv[1]) as fifo:
    fifo.read()
blocks = [bytearray(b"x" * (1 << 20)) for _ in range(600)]
time.sleep(1000)
