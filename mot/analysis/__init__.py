"""What a scored run gets wrong, and why; `mot.error_analysis` is the command."""
