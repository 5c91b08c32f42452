"""Upkeep: what is done beside the hot path, on a schedule or by hand. Errands are performed, documents that never came
are found and taken in, accounts are made."""
