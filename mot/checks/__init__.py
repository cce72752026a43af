"""What can be wrong with a data folder, found one part of a sequence at a time."""
