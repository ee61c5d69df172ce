"""What estimators of the policy gradient expect, exactly, beside the true gradient: `python -m pg_theano.bias`."""
