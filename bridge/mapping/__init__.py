"""Rules, written in YAML and compiled once, turn documents into facts. Everything here is pure."""
