"""The workshop: rules written in YAML, compiled once, turn documents into events. Everything here is pure."""
