"""Negative control"""

from pose_positive import task as _task

task = dict(_task, data_root="data/sandbox/figures_negative")
