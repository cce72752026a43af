"""Sequences in, scores and pictures out; imports no torch and no other room."""
