"""What is known exactly: a task whose every trajectory is enumerated, its ∇J, and the card that judges estimates."""
