"""Whether Ray, which is an extra, is here."""

from __future__ import annotations

from tools.experiment.options import ConfigError


def require_ray() -> None:
    """Import Ray.

    Raises:
        ConfigError: if it is not here, with the command that installs it.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "--ray", [f"expected Ray, but got {error}; pip install -e '.[ray]'"]
        ) from error
