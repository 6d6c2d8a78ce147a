"""The versions that a result depends on."""

import platform
from importlib.metadata import PackageNotFoundError, version

NAMES = ("deap-nas", "deap", "torch", "torchvision", "numpy", "scoop")


def version_of(name: str = "deap-nas") -> str:
    """The installed version of a distribution; "not installed" if it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def versions() -> str:
    """One line: the packages, Python and the system."""
    packages = ", ".join(f"{name} {version_of(name)}" for name in NAMES)
    return f"{packages}; Python {platform.python_version()} on {platform.platform()}"
