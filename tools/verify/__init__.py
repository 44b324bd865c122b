"""What `al_verify.py` checks, part by part: reading a run, the checks of one run, and
those across runs.
"""
