"""Boxes to identities: linkers and appearance embeddings; imports mot."""
