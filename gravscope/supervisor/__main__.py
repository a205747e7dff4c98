"""Started by a launcher as `python -I -S …/gravscope/supervisor/__main__.py REQUEST_FD JOB_ID`.

The id is not read; it is there to be seen in ps(1). The file is named, and not its folder: `python DIR` goes through
runpy, which costs 1 MB of memory and some milliseconds.
"""

import gc
import os
import sys

gc.disable()  # loading modules leaves no garbage to collect
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from gravscope.supervisor.main import main  # noqa: E402 (it needs the line above)

sys.path.pop()
gc.enable()
main(int(sys.argv[1]))
os._exit(0)  # at once: the interpreter would take 2 ms to free memory that the kernel frees anyway
