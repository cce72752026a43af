"""Boxes to maps to boxes, and the cached frame blocks between sequence and net; imports mot."""
