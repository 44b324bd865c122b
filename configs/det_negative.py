"""Negative control"""

from det_positive import task as _task

task = dict(_task, data_root="data/sandbox/VOCdevkit_negative")
