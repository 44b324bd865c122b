"""People as the oracle: for `al_label.py`."""
