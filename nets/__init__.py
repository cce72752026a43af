"""Frames to maps (torch): nets, losses, training, prediction; imports labelmaps and mot."""
