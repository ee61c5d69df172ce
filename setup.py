"""Packaging, for tools that look here first; everything is in pyproject.toml."""

from setuptools import setup

setup()
