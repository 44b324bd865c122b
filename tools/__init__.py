"""Commands. They draw into files alone, and so need none of Matplotlib's windows."""

import os
import sys

if "ipykernel" not in sys.modules:  # what a notebook itself draws goes into its cells
    # a notebook hands its own to `!python`, where it may not be found
    os.environ["MPLBACKEND"] = "Agg"
