"""Annotations of people in video in the formats of others, read and written."""
