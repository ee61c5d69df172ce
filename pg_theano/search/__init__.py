"""Search without gradients: of parameters (cem, pgpe, es, cmaes) and of hyper-parameters (`python -m pg_theano.search`)."""
