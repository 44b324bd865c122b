"""Names of what can be measured, for commands that must not import torch to list them."""

NETWORKS = (
    "resnet18",
    "ssd300",
    "hourglass",
    "retinanet_r18",
    "convnextv2_nano",
)  # see `subjects.PAPER`
# see `by_place.OURS` and `their_places.THEIRS`
BY_PLACE = ("maxherding", "uherding", "probcover", "dcom", "typiclust", "badge", "ppal")
REFERENCES = ("maxherding", "probcover", "typiclust", "badge")
OWN = ("entropy", "margin", "least_confident")  # signals that need neither module nor committee
