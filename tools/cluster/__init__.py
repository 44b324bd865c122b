"""Work on a Ray cluster: for `al_sweep.py` and `al_label.py`."""
