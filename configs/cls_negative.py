"""Negative control"""

from cls_positive import task as _task

task = dict(_task, data_root="data/sandbox/shapes_negative")
