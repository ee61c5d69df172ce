"""Playing: whole episodes, stretches of fixed length, generations of a population; and the noise of their actions."""
