"""writer.py BYTES REPORT FIFO: waits until something writes to the FIFO, then writes lines to standard output, and the
seconds that this took to a file."""

import os
import sys
import time

left = int(sys.argv[1])
block = (b"a line as a job may print one, seventy-nine characters and the one that ends it\n") * 820
with open(sys.argv[3]) as fifo:
    fifo.read()
began = time.perf_counter()
while left > 0:
    left -= os.write(1, block[:left])
took = time.perf_counter() - began
with open(sys.argv[2] + ".part", "w") as report:
    report.write(str(took))
os.rename(sys.argv[2] + ".part", sys.argv[2])
