"""The parts of `al_verify.py`: reading a run, the checks of one run, and those across runs."""
