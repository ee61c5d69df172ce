"""What the operating system gives: files, locks, processes, signals, and the life of one command."""
