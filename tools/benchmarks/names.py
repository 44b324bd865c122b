"""What can be measured, for a command that has nothing to measure yet."""

NETWORKS = ("resnet18", "ssd300", "hourglass")  # see `subjects.PAPER`
OWN = ("entropy", "margin", "least_confident")  # signals that need neither module nor committee
