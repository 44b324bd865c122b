"""Names of strategies and signals, for commands that list them without importing torch.

What they stand for is in `acquisition/strategies.py` and `acquisition/signals.py`; a test compares
both.
"""

STRATEGIES = (
    "random",
    "learning_loss",
    "learning_loss_mse",
    "learning_loss_kl",
    "entropy",
    "margin",
    "least_confident",
    "ensemble_variance",
    "ensemble_bald",
    "dropout_entropy",
    "dropout_bald",
    "coreset",
    "density",
    "kmeans",
    "typiclust",
    "badge",
    "learning_loss_coreset",
    "entropy_coreset",
    "power_learning_loss",
    "enms",
    "divproto",
    "ppal",
    "localisation",
    "oracle_loss",
    "placebo",
)
SIGNALS = (
    "predicted_loss",
    "entropy",
    "margin",
    "least_confident",
    "ensemble_variance",
    "ensemble_bald",
    "dropout_entropy",
    "dropout_bald",
    "embedding",
    "residual",
    "feature",
    "bag",
    "enms",
    "localisation",
    "prototypes",
    "quality",
    "loss",
)
