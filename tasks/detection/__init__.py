"""Object detection: SSD, or any detector of mmdet, on boxes in PASCAL VOC's or COCO's form."""

from tasks.detection.adapter import COCO_CLASSES, VOC_CLASSES, Detection

__all__ = ["COCO_CLASSES", "VOC_CLASSES", "Detection"]
