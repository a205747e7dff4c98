"""Started as `python -I -S …/gravscope/notify/__main__.py JOB_ID` by the supervisor of a job that has ended.

The id is not read; it is there to be seen in ps(1).
"""

import os
import sys

sys.path[:] = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), *sys.path]
from gravscope.notify.send import main

main()
