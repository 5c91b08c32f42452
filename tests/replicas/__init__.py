"""The guarantee over a real Postgres: replicas that are killed, frozen and cut off by a schedule of a seed, each behind
a proxy of its own, and a judge who shares no code with them."""
