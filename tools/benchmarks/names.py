"""What can be measured, for a command that has nothing to measure yet."""

NETWORKS = ("resnet18", "ssd300", "hourglass", "convnextv2_nano")  # see `subjects.PAPER`
OWN = ("entropy", "margin", "least_confident")  # signals that need neither module nor committee
