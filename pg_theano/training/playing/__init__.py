"""Who plays: whole episodes, fixed stretches, generations of a population; and the noise that they are handed."""
