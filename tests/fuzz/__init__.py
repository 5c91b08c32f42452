"""Floods of bad input, drawn from a seed: at the door, in documents, in answers, in Kafka values, in rules."""
