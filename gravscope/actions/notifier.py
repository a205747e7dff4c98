"""The notifier (`gravscope.notify`) where version 0.1.0 had it.

The supervisor of a job that version 0.1.0 started, and that ends after an upgrade, starts this file by its path.
"""

import os
import sys

sys.path[:] = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), *sys.path]
from gravscope.notify.send import main

main()
