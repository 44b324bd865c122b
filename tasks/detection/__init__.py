"""Object detection: SSD, or any detector of mmdet, on boxes in PASCAL VOC's or COCO's form."""

from tasks.detection.adapter import Detection

__all__ = ["Detection"]
