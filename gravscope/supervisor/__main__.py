"""Started as `python -I -S …/gravscope/supervisor/__main__.py REQUEST_FD JOB_ID` by a launcher; the id is for ps(1).

Named as a file: `python DIR` would do, but goes through runpy, which costs 1 MB and some milliseconds.
"""

import gc
import os
import sys

gc.disable()  # there is nothing to be collected in what is being loaded
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from gravscope.supervisor.main import main  # noqa: E402 (the two lines above are what it takes)

sys.path.pop()
gc.enable()
main(int(sys.argv[1]))
os._exit(0)  # at once: the interpreter would take 2 ms to put away what the kernel is about to put away anyway
