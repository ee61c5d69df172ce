"""Search without gradients: of parameters (cem, pgpe, es, cmaes), of hyper-parameters (`python -m pg_theano.search`)."""

from pg_theano.search.minimise import Generation, Result, minimise

__all__ = ["Generation", "Result", "minimise"]
