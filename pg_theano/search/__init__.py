"""Search without gradients: of parameters (cem, pgpe, es, cmaes), of hyper-parameters (python -m pg_theano.search)."""
