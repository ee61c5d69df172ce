"""Search without gradients: of parameters (cem, pgpe, es, cmaes), of hyper-parameters (the command)."""

from pg_theano.search.minimise import Generation, Result, minimise

__all__ = ["Generation", "Result", "minimise"]
