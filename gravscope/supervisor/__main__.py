"""Started as `python -I -S …/gravscope/supervisor/__main__.py REQUEST_FD JOB_ID` by a launcher; the id is for ps(1).

Named as a file: `python DIR` would do, but goes through runpy, which costs 1 MB and some milliseconds.
"""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from gravscope.supervisor.main import main

sys.path.pop()
main(int(sys.argv[1]))
