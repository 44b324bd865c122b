"""Temperature scaling: how sure probabilities should be, by labeled samples nothing learned from.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from acquisition.step import Rows, finite

LOWEST, HIGHEST = 0.05, 20.0  # where no answer is wrong, ever lower ones are likelier for ever
EVEN = 1e-6  # how far float32 logs of equal probabilities may be apart
NEEDS = ("log_probs", "truth")  # signals of the labeled samples


def temperature(labeled: Rows) -> float:
    """The temperature T at which the true outcomes are likeliest, by probabilities p^(1/T) / sum.

    Above 1 the probabilities were too sure, below 1 not sure enough. It changes no answer.

    Args:
        labeled: "log_probs" (M, K, C) and "truth" (M, K) of labeled samples that the network has
            not learned from; -1 is an outcome that nobody knows, which does not count.

    Returns:
        A number from `LOWEST` to `HIGHEST`; 1 where no temperature is likelier than another: no
        outcome is known, or all outcomes of each sample are equally probable, as with one class.

    Raises:
        QueryError: if a probability is not finite.

    Examples:
        >>> sure = np.log([[[0.9, 0.1]]] * 4)  # right in three of four
        >>> rows = {"log_probs": sure, "truth": np.array([[0], [0], [0], [1]])}
        >>> found = temperature(rows)
        >>> print(f"{found:.3f}, and now {1 / (1 + 9 ** (-1 / found)):.3f}")
        2.000, and now 0.750
    """
    truth = labeled["truth"].ravel().astype(np.int64)
    logs = finite(labeled, "log_probs").astype(np.float64)
    logs = logs.reshape(-1, logs.shape[-1])[truth >= 0]
    truth = truth[truth >= 0]
    if not len(truth) or np.ptp(logs, axis=1).max() <= EVEN:
        return 1.0
    of_truth = logs[np.arange(len(truth)), truth].mean()

    def surprise(log_temperature: float) -> float:
        """The mean of -log p of the true outcomes at a temperature."""
        inverse = math.exp(-log_temperature)
        return float(logsumexp(logs * inverse, axis=1).mean() - of_truth * inverse)

    bounds = math.log(LOWEST), math.log(HIGHEST)
    found = minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(found.x)
