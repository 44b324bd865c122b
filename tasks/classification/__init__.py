"""Image classification: CIFAR-10, CIFAR-100, or a folder of images for each class."""

from tasks.classification.adapter import Classification

__all__ = ["Classification"]
