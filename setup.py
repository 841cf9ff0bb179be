"""What pyproject.toml cannot say: configs/ lies beside the package, and is installed inside it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["jaxnext*"]), "jaxnext.configs"],
    package_dir={"jaxnext.configs": "configs"},
    package_data={
        "jaxnext": ["py.typed", "reporting/*.js", "inference/serving/drop_page.*"],
        "jaxnext.configs": ["*.yaml"],
    },
)
