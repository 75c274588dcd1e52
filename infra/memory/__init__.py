"""In-memory twins of the adapters, for fast tests: the same contracts, nothing durable."""
