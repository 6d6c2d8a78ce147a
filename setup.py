"""What setup.cfg cannot say: the experiments are installed as data of deap_nas."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["deap_nas*", "toolbox*", "problems*"]),
        "deap_nas.experiments",
    ],
    package_dir={"deap_nas.experiments": "experiments"},
)
