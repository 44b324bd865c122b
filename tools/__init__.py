"""Commands. They draw only into files, and so need none of Matplotlib's windows."""

import os
import sys

if "ipykernel" not in sys.modules:  # what a notebook itself draws goes into its cells
    # a notebook passes its own backend to `!python`, where it may be missing
    os.environ["MPLBACKEND"] = "Agg"
