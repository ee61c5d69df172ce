"""Search of parameters without gradients: CEM, evolution strategies, PGPE, CMA-ES, and `minimise`."""
