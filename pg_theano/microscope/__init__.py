"""How good the gradient is that a run learned from: every estimator beside the true gradient of the expected return."""
