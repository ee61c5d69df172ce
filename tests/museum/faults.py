"""The bug museum: faults that were made somewhere, each with the tests that catch it here.

`test_museum.py` plants every one and runs its tests against it; the whole museum against the whole suite is
`python benchmarks/torture --only museum`.
"""

from __future__ import annotations

from faults_of_gae import AT_THE_END, IN_THE_GRAPH
from faults_of_mathematics import MATHEMATICS
from faults_of_the_clinic import CLINIC
from faults_of_the_host import HOST
from faults_of_the_microscope import MICROSCOPE

FAULTS = [*AT_THE_END, *IN_THE_GRAPH, *MATHEMATICS, *HOST, *CLINIC, *MICROSCOPE]
