"""Names of what can be measured, for commands that must not import torch to list them."""

NETWORKS = (
    "resnet18",
    "ssd300",
    "hourglass",
    "retinanet_r18",
    "convnextv2_nano",
)  # see `subjects.PAPER`
BY_PLACE = ("maxherding", "uherding", "probcover", "typiclust", "badge")  # see `by_place.OURS`
OWN = ("entropy", "margin", "least_confident")  # signals that need neither module nor committee
