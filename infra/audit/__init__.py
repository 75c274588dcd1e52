"""The audit tree: proofs that what was stored is stored still, for people who need not trust us."""
