"""Human pose estimation with a stacked hourglass, on persons in MPII's form."""

from tasks.pose.adapter import Pose

__all__ = ["Pose"]
