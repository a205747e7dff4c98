"""ticker.py COUNT FIFO: lines that say when they were written, by the monotonic clock, in nanoseconds.

The first at once, the others when something has written to the FIFO.
"""

import sys
import time

print(time.monotonic_ns(), flush=True)
with open(sys.argv[2]) as fifo:
    fifo.read()
for number in range(int(sys.argv[1])):
    # never in step with whoever looks again and again
    time.sleep(0.1 + 0.05 * (number * 0.618 % 1))
    print(time.monotonic_ns(), flush=True)
