"""The packages: every folder with an __init__.py under this one, which is the package semihand itself."""

from setuptools import find_packages, setup

setup(packages=["semihand", *(f"semihand.{name}" for name in find_packages(exclude=["tests*", "tools*"]))])
